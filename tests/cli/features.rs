//! `nswatch features`.

use std::process::Command;

use nswatch::Feature;
use serde_json::Value;

use crate::NOTHING;
use crate::running::{Running, ends, keys, nswatch};
use crate::support::*;

fn available(lines: &[String]) -> Vec<(String, bool)> {
    let printed = lines.iter().map(|line| {
        let json: Value = serde_json::from_str(line).unwrap();
        assert_eq!(keys(&json), ["available", "feature"]);
        (json["feature"].as_str().unwrap().to_owned(), json["available"].as_bool().unwrap())
    });
    printed.collect()
}

#[test]
fn the_features_are_those_of_the_library() {
    sandbox();
    let (code, lines, errors) = ends(["features", "--json"]);
    assert_eq!((code, errors), (Some(0), NOTHING.into()));
    let expected = Feature::ALL.map(|feature| (feature.to_string(), feature.is_available().unwrap()));
    assert_eq!(available(&lines), expected);
    let (_, lines, _) = ends(["features"]);
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
    let rows = lines.iter().filter(|line| !line.starts_with(' ') || line.trim().is_empty());
    let rows: Vec<Vec<&str>> = rows.map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["FEATURE", "HERE", "PURPOSE", "AND", "REQUIREMENTS"]);
    for (row, (name, here)) in rows[1..].iter().zip(expected) {
        assert_eq!(row[..2], [name.as_str(), if here { "yes" } else { "no" }]);
        assert!(row.len() > 4, "{row:?}");
    }
    assert_eq!(rows.len(), 1 + Feature::ALL.len());
    let words = |lines: &mut dyn Iterator<Item = &str>| lines.flat_map(str::split_whitespace).count();
    let expected = Feature::ALL.iter().map(|feature| 2 + words(&mut [feature.purpose()].into_iter())).sum::<usize>();
    assert_eq!(words(&mut lines[1..].iter().map(String::as_str)), expected);
}

#[test]
fn known_features_are_printed_even_if_others_are_not() {
    sandbox();
    let mut command = Command::new("sh");
    let script = "mount -t tmpfs nothing /proc && exec \"$@\"";
    command.args(["-c", script, "sh"]).arg(nswatch([""; 0]).get_program()).args(["features", "--json"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let (code, lines, errors) = Running::start(command).end();
    assert_eq!(code, Some(1));
    let printed: Vec<_> = available(&lines).into_iter().map(|(name, _)| name).collect();
    assert!(printed.contains(&"all_nsid".into()), "{printed:?}");
    assert!(!printed.contains(&"mount_poll".into()), "{printed:?}");
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("nswatch: cannot try the feature ") && errors[0].contains("/proc"), "{errors:?}");
}
