//! `open`: parses the options of a watcher, and opens it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use nswatch::{Options, Policy, Watcher};

use super::answers::{Refusal, Words, number};

pub(super) fn open(words: &Words<'_>) -> Result<Watcher, Refusal> {
    let mut options = Options::new();
    let mut source: &[u8] = b"named";
    let mut mount_events = None;
    for word in words.rest() {
        let (key, value) = parts(word);
        options = match key {
            b"source" => {
                source = value.as_bytes();
                options
            }
            b"dir" => options.dir(value)?,
            b"no-replay" => options.replay(false),
            b"no-parent" => options.parent(false),
            b"dir-events" => options.dir_events(true),
            b"mount-events" | b"no-mount-events" => {
                let wanted = key == b"mount-events";
                if mount_events.replace(wanted).is_some_and(|other| other != wanted) {
                    return Err(Refusal::invalid(EXCLUDE));
                }
                options.mount_events(wanted)
            }
            b"no-symlinks" => options.symlinks(false),
            b"all-nsid" => options.all_nsid(true),
            b"prepare" => options.prepare(true),
            b"settle" => options.settle(Duration::from_millis(number::<u32>(value)?.into())),
            b"max-names" => options.max_names(number(value)?),
            b"rcvbuf" => options.rcvbuf(number(value)?),
            b"queue" => {
                let (capacity, policy) = split(value, b',');
                options.queue(number(capacity)?, self::policy(policy)?)?
            }
            _ => return Err(Refusal::malformed("it has an unknown option")),
        };
    }
    Ok(match source {
        b"named" => Watcher::named(&options)?,
        b"nsid" => Watcher::nsid(&options)?,
        b"all" => Watcher::all(&options)?,
        _ => return Err(Refusal::malformed("it has an unknown source")),
    })
}

const EXCLUDE: &str = "cannot set the flags: the flags NSW_MOUNT_EVENTS and NSW_NO_MOUNT_EVENTS exclude each other";

fn policy(word: &OsStr) -> Result<Policy, Refusal> {
    match word.as_bytes() {
        b"block" => Ok(Policy::Block),
        b"drop-newest" => Ok(Policy::DropNewest),
        b"drop-oldest" => Ok(Policy::DropOldest),
        _ => Err(Refusal::invalid(
            "cannot make a queue: the policy must be NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST or NSW_QUEUE_DROP_OLDEST",
        )),
    }
}

/// Splits `key=value`.
fn parts(word: &OsStr) -> (&[u8], &OsStr) {
    let (key, value) = split(word, b'=');
    (key.as_bytes(), value)
}

fn split(word: &OsStr, at: u8) -> (&OsStr, &OsStr) {
    let bytes = word.as_bytes();
    let middle = bytes.iter().position(|byte| *byte == at).unwrap_or(bytes.len());
    let (left, right) = bytes.split_at(middle);
    (OsStr::from_bytes(left), OsStr::from_bytes(right.get(1..).unwrap_or_default()))
}
