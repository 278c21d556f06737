//! The driver of the conformance tests in Rust: README.md has the protocol.

use std::error::Error;
use std::fmt::Write;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use nswatch::{Event, EventKind, Feature, Netns, Options, Policy, Watcher, nsid, wait_ready};

const PATIENCE: Duration = Duration::from_secs(20);

type Answer = Result<String, Box<dyn Error>>;

#[derive(Default)]
struct Driver {
    watcher: Option<Watcher>,
    event: Option<Event>,
    kept: Option<Netns>,
}

fn options(words: &[&str]) -> Result<Options, Box<dyn Error>> {
    let mut options = Options::new();
    for word in words {
        options = match word.split_once('=').unwrap_or((word, "")) {
            ("no-replay", _) => options.replay(false),
            ("no-parent", _) => options.parent(false),
            ("dir-events", _) => options.dir_events(true),
            ("mount-events", _) => options.mount_events(true),
            ("no-mount-events", _) => options.mount_events(false),
            ("no-symlinks", _) => options.symlinks(false),
            ("max-names", names) => options.max_names(names.parse()?),
            ("all-nsid", _) => options.all_nsid(true),
            ("dir", path) => options.dir(path)?,
            ("settle", ms) => options.settle(Duration::from_millis(ms.parse()?)),
            ("rcvbuf", bytes) => options.rcvbuf(bytes.parse()?),
            (_, queue) => {
                let (capacity, policy) = queue.split_once(',').ok_or(queue)?;
                let policy = match policy {
                    "block" => Policy::Block,
                    "drop-newest" => Policy::DropNewest,
                    _ => Policy::DropOldest,
                };
                options.queue(capacity.parse()?, policy)?
            }
        };
    }
    Ok(options)
}

/// The identity of an open namespace.
fn described(namespace: OwnedFd) -> Answer {
    let namespace = File::from(namespace).metadata()?;
    Ok(format!("netns {} {}", namespace.dev(), namespace.ino()))
}

fn line(event: &Event) -> String {
    let (kind, nsid, origin, portid, dropped) = match *event.kind() {
        EventKind::Created(_) => ("created", -1, None, 0, 0),
        EventKind::Ready(..) => ("ready", -1, None, 0, 0),
        EventKind::Detached(_) => ("detached", -1, None, 0, 0),
        EventKind::Deleted(_) => ("deleted", -1, None, 0, 0),
        EventKind::DirCreated => ("dir_created", -1, None, 0, 0),
        EventKind::DirDeleted => ("dir_deleted", -1, None, 0, 0),
        EventKind::NsidNew { nsid, origin, portid } => ("nsid_new", nsid, origin, portid, 0),
        EventKind::NsidDel { nsid, origin } => ("nsid_del", nsid, origin, 0, 0),
        EventKind::NetnsNew { .. } => ("netns_new", -1, None, 0, 0),
        EventKind::NetnsDel(_) => ("netns_del", -1, None, 0, 0),
        EventKind::Synced => ("synced", -1, None, 0, 0),
        EventKind::Overflow { dropped } => ("overflow", -1, None, 0, dropped),
        _ => ("unknown", -1, None, 0, 0),
    };
    let hex = |bytes: Option<&[u8]>| {
        let digits = |bytes: &[u8]| bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        bytes.map_or("-".to_owned(), digits)
    };
    let (name, path) = (event.name().map(|name| name.as_bytes()), event.path());
    let (name, path) = (hex(name), hex(path.as_ref().map(|path| path.as_os_str().as_encoded_bytes())));
    let (dev, ino, cookie) =
        event.netns().map_or((0, 0, 0), |netns| (netns.dev(), netns.ino(), netns.cookie().unwrap_or(0)));
    let (replayed, origin, time) = (i32::from(event.is_replayed()), origin.unwrap_or(-1), event.time().as_nanos());
    let pid = event.pid().unwrap_or(0);
    format!(
        "event {kind} {replayed} {name} {dev} {ino} {cookie} {nsid} {origin} {portid} {dropped} {time} {pid} {path}"
    )
}

impl Driver {
    fn watcher(&mut self) -> Result<&mut Watcher, &'static str> {
        self.watcher.as_mut().ok_or("no watcher is open")
    }

    fn event(&self) -> Result<&Event, &'static str> {
        self.event.as_ref().ok_or("no event yet")
    }

    fn wait(&mut self) -> Answer {
        let Some(event) = self.watcher()?.wait(Some(PATIENCE))? else { return Ok("nothing".to_owned()) };
        let line = line(&event);
        self.event = Some(event);
        Ok(line)
    }

    fn until(&mut self, kind: &str) -> Answer {
        loop {
            let answer = self.wait()?;
            if answer == "nothing" || answer.split(' ').nth(1) == Some(kind) {
                return Ok(answer);
            }
            println!("{answer}");
        }
    }

    fn stat(&mut self, name: &str) -> Answer {
        let stats = self.watcher()?.stats();
        let value = match name {
            "delivered" => stats.delivered,
            "dropped" => stats.dropped,
            "overflows" => stats.overflows,
            "resyncs" => stats.resyncs,
            "queued" => stats.queued,
            "queued_max" => stats.queued_max,
            "pending" => stats.pending,
            _ => stats.known,
        };
        Ok(format!("stat {value}"))
    }

    fn kept(&self) -> Result<Netns, &'static str> {
        self.kept.ok_or("no identity is kept")
    }

    /// Finds an identity in the way that the first word names.
    fn find(&self, words: &[&str]) -> Result<Netns, Box<dyn Error>> {
        Ok(match words {
            ["event"] => *self.event()?.netns().ok_or("the event carries no identity")?,
            ["pid", pid] => Netns::for_pid(pid.parse()?)?,
            ["nsid", nsid] => Netns::for_nsid(nsid.parse()?)?,
            ["fd", path] => Netns::for_fd(File::open(path)?)?,
            ["name", name] => Netns::for_name(name)?,
            ["ready", name] => wait_ready(name, Some(PATIENCE))?.ok_or("not ready in time")?,
            _ => return Err(format!("no such way: {words:?}").into()),
        })
    }

    fn obey(&mut self, command: &str, words: &[&str]) -> Answer {
        let ok = Ok("ok".to_owned());
        let answer = |nsid: Option<i32>| Ok(format!("nsid {}", nsid.unwrap_or(-1)));
        match (command, words) {
            ("open", ["named", words @ ..]) => self.watcher = Some(Watcher::named(&options(words)?)?),
            ("open", ["nsid", words @ ..]) => self.watcher = Some(Watcher::nsid(&options(words)?)?),
            ("open", ["all", words @ ..]) => self.watcher = Some(Watcher::all(&options(words)?)?),
            ("feature", [name]) => {
                let feature =
                    Feature::ALL.into_iter().find(|feature| feature.name() == *name).ok_or("no such feature")?;
                return Ok(format!("feature {}", i32::from(feature.is_available()?)));
            }
            ("wait", _) => return self.wait(),
            ("until", [kind]) => return self.until(kind),
            ("resync", _) => self.watcher()?.resync()?,
            ("stat", [name]) => return self.stat(name),
            ("netns", _) => {
                let event = self.event()?.clone();
                return described(self.watcher()?.open_netns(&event)?);
            }
            ("identify", words) => {
                let found = self.find(words)?;
                self.kept = Some(found);
                return Ok(format!("netns {} {}", found.dev(), found.ino()));
            }
            ("same", words) => return Ok(format!("same {}", i32::from(self.kept()?.same(&self.find(words)?)))),
            ("reopen", [path]) => return described(self.kept()?.open(Some(path.as_ref()))?),
            ("pid", [pid]) => return answer(nsid::get_for_pid(pid.parse()?)?),
            ("name", [name]) => return answer(nsid::get_for_name(name)?),
            ("fd", [path]) => return answer(nsid::get_for_fd(File::open(path)?)?),
            ("assign", [path, wanted @ ..]) => {
                let wanted = wanted.first().map(|wanted| wanted.parse()).transpose()?;
                return answer(Some(nsid::assign(File::open(path)?, wanted)?));
            }
            ("translate", [nsid, from]) => return answer(nsid::translate(nsid.parse()?, from.parse()?)?),
            ("list", _) => {
                let mut line = "nsids".to_owned();
                nsid::list()?.iter().try_for_each(|nsid| write!(line, " {nsid}"))?;
                return Ok(line);
            }
            ("close", _) => self.watcher = None,
            _ => return Err(format!("no such command: {command} {words:?}").into()),
        }
        ok
    }
}

fn errno(failure: &(dyn Error + 'static)) -> Option<i32> {
    match failure.downcast_ref::<nswatch::Error>() {
        Some(error) => Some(error.errno()),
        None => failure.downcast_ref::<std::io::Error>()?.raw_os_error(),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut driver = Driver::default();
    for command in std::io::stdin().lines() {
        let command = command?;
        let words: Vec<&str> = command.split_whitespace().collect();
        let (first, rest) = words.split_first().ok_or("an empty line")?;
        match driver.obey(first, rest) {
            Ok(answer) => println!("{answer}"),
            Err(failure) => println!("error {}", errno(failure.as_ref()).ok_or(failure)?),
        }
    }
    Ok(())
}
