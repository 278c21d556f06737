//! The actors that change the names, the directory and the path to it. Each act may fail: others are at work too.

use std::fs::{File, remove_dir, remove_file};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use crate::stage::{BY_LINK, Dice, Stage, WITHIN, bind_fd, new_netns, try_mount, try_rename, unmount};
use crate::support::Sleeper;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The real `ip netns add` and `ip netns del`, in `/run/netns`.
    Ip,
    /// Makes, mounts, unmounts and removes names by bare system calls.
    Raw,
    Renamer,
    Linker,
    /// Removes, replaces and moves the directory and those above it.
    Surgeon,
    /// Hides them under mounts, and shows them again.
    Coverer,
    /// Makes and removes plain files, at times more than the kernel's queue has room for.
    FileStorm,
    /// The same with mounts elsewhere.
    MountStorm,
}

pub const ROLES: [Role; 8] =
    [Role::Ip, Role::Raw, Role::Renamer, Role::Linker, Role::Surgeon, Role::Coverer, Role::FileStorm, Role::MountStorm];

/// Acts until the round is over.
pub fn play(role: Role, stage: &Stage, mut dice: Dice) {
    let act = match role {
        Role::Ip => ip,
        Role::Raw => raw,
        Role::Renamer => renamer,
        Role::Linker => linker,
        Role::Surgeon => surgeon,
        Role::Coverer => coverer,
        Role::FileStorm => file_storm,
        Role::MountStorm => mount_storm,
    };
    stage.perform(|| act(stage, &mut dice));
}

fn ip(stage: &Stage, dice: &mut Dice) {
    let verb = dice.pick(&["add", "add", "del"]);
    let name = dice.pick(&stage.names);
    let name = std::ffi::OsStr::from_bytes(name.as_bytes());
    let status =
        Command::new("ip").args(["netns", verb]).arg(name).stdout(Stdio::null()).stderr(Stdio::null()).status();
    stage.note(format_args!("ip netns {verb} {name:?}"), status.is_ok_and(|status| status.success()));
}

/// A new file, which must not exist yet.
fn create(path: &Path) -> bool {
    File::options().write(true).create_new(true).open(path).is_ok()
}

fn raw(stage: &Stage, dice: &mut Dice) {
    let path = stage.path(&dice.pick(&stage.names));
    let at = path.display();
    match dice.below(12) {
        0 | 1 => stage.note(format_args!("create {at}"), create(&path)),
        2..=4 => {
            let which = dice.below(stage.pool.len());
            stage.note(format_args!("mount netns {which} on {at}"), bind_fd(&stage.pool[which], &path));
        }
        5 => {
            let done = create(&path) & bind_fd(&new_netns(), &path);
            stage.note(format_args!("create {at} and mount a new netns"), done);
        }
        6 => stage.note(format_args!("unmount {at}"), unmount(&path)),
        7 => {
            // all that are on each other, or they become thousands where a watcher is slower than this
            let done = unmount(&path);
            while unmount(&path) {}
            stage.note(format_args!("unmount all of {at}"), done);
        }
        8 => {
            let done = unmount(&path) & remove_file(&path).is_ok();
            stage.note(format_args!("unmount and remove {at}"), done);
        }
        9 => stage.note(format_args!("remove {at}"), remove_file(&path).is_ok()),
        10 => {
            let over = dice.pick(&["/dev/null", "/proc/thread-self/ns/uts"]);
            stage.note(format_args!("mount {over} on {at}"), try_mount(over, &path, "", libc::MS_BIND));
        }
        _ => match dice.below(3) {
            0 => stage.note(format_args!("mkdir {at}"), std::fs::create_dir(&path).is_ok()),
            1 => stage.note(format_args!("rmdir {at}"), remove_dir(&path).is_ok()),
            _ => {
                let fifo = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
                // SAFETY: the string is NUL-terminated and outlives the call.
                stage.note(format_args!("mkfifo {at}"), unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) } == 0);
            }
        },
    }
}

fn renamer(stage: &Stage, dice: &mut Dice) {
    let (one, other) = (stage.path(&dice.pick(&stage.names)), stage.path(&dice.pick(&stage.names)));
    let outside = Path::new("/run/outside").join(format!("{}", dice.below(4)));
    let (from, to) = match dice.below(4) {
        0 => (one, outside),
        1 => (outside, one),
        _ => (one, other),
    };
    let flags = dice.pick(&[0, libc::RENAME_NOREPLACE, libc::RENAME_EXCHANGE]);
    let done = try_rename(&from, &to, flags);
    stage.note(format_args!("rename ({flags}) {} {}", from.display(), to.display()), done);
    if dice.one_in(8) {
        let file = Path::new("/run/outside").join(format!("{}", dice.below(4)));
        stage.note(format_args!("create {}", file.display()), create(&file));
    }
}

fn linker(stage: &Stage, dice: &mut Dice) {
    let mut sleepers = stage.sleepers.lock().unwrap();
    if dice.one_in(12) {
        let which = dice.below(sleepers.len());
        // waits for its end
        sleepers[which] = Sleeper::new();
        return stage.note(format_args!("process {which} dies"), true);
    }
    let which = dice.below(sleepers.len());
    let target = match dice.below(6) {
        0..=2 => sleepers[which].namespace("net"),
        3 => sleepers[which].namespace("uts"),
        4 => stage.path(&dice.pick(&stage.names)),
        _ => "dangling".into(),
    };
    drop(sleepers);
    let link = stage.path(&dice.pick(&stage.names));
    let done = match dice.below(4) {
        0 => remove_file(&link).is_ok(),
        1 => {
            // replaces the old one in one step
            let new = Path::new("/run/outside/link");
            drop(remove_file(new));
            symlink(&target, new).is_ok() && try_rename(new, &link, 0)
        }
        _ => symlink(&target, &link).is_ok(),
    };
    stage.note(format_args!("link {} -> {}", link.display(), target.display()), done);
}

/// Removes the contents of the directory, and the directory itself.
fn raze(stage: &Stage) -> bool {
    let dir = &stage.dir;
    while unmount(dir) {
        stage.veiled.store(true, Ordering::Relaxed);
    }
    if let Ok(entries) = std::fs::read_dir(dir) {
        for entry in entries.flatten() {
            while unmount(entry.path()) {}
            drop(remove_file(entry.path()).or_else(|_| remove_dir(entry.path())));
        }
    }
    remove_dir(dir).is_ok()
}

fn surgeon(stage: &Stage, dice: &mut Dice) {
    let dir = &stage.dir;
    let above = dir.parent().unwrap();
    let away = PathBuf::from("/run/outside/away");
    match dice.below(11) {
        0 | 1 => {
            let gone = raze(stage);
            let again = dice.one_in(2) && std::fs::create_dir(dir).is_ok();
            stage.note(format_args!("raze, made again: {again}"), gone);
        }
        2 => stage.note(format_args!("mkdir"), std::fs::create_dir(dir).is_ok()),
        3 => stage.note(format_args!("move away"), try_rename(dir, &away, 0)),
        4 => stage.note(format_args!("move back"), try_rename(&away, dir, 0)),
        5 => stage.note(format_args!("exchange"), try_rename(&away, dir, libc::RENAME_EXCHANGE)),
        6 => {
            drop(std::fs::create_dir(&away));
            stage.note(format_args!("another away"), create(&away.join("green")));
        }
        7 if above != Path::new("/run") => {
            let moved = try_rename(above, "/run/outside/above", 0);
            let back = dice.one_in(2) && try_rename("/run/outside/above", above, 0);
            stage.note(format_args!("move the parent away, back: {back}"), moved);
        }
        8 => {
            let mode = std::fs::Permissions::from_mode(dice.pick(&[0o755, 0o711, 0o700]));
            stage.note(format_args!("chmod"), std::fs::set_permissions(dir, mode).is_ok());
        }
        9 => {
            let link = if dice.one_in(2) { PathBuf::from(BY_LINK).parent().unwrap().into() } else { dir.join(WITHIN) };
            let target =
                if link.ends_with(WITHIN) { "." } else { dice.pick(&["deep/er", "outside", "deep/../deep/er"]) };
            let done = remove_file(&link).is_ok() | symlink(target, &link).is_ok();
            stage.note(format_args!("{} now leads to {target}", link.display()), done);
        }
        _ => {
            let back = try_rename("/run/outside/above", above, 0);
            stage.note(format_args!("parent back: {back}, all made"), std::fs::create_dir_all(dir).is_ok());
        }
    }
}

fn coverer(stage: &Stage, dice: &mut Dice) {
    let mut covers = stage.covers.lock().unwrap();
    let dir = &stage.dir;
    stage.veiled.store(true, Ordering::Relaxed);
    if !covers.is_empty() && (covers.len() > 3 || dice.one_in(2)) {
        let cover = covers.pop().unwrap();
        return stage.note(format_args!("uncover {}", cover.display()), unmount(&cover));
    }
    let target = if dice.one_in(3) { dir.parent().unwrap() } else { dir.as_path() };
    let done = match dice.below(4) {
        0 | 1 => try_mount("cover", target, "tmpfs", 0),
        2 => try_mount(target, target, "", libc::MS_BIND | dice.pick(&[0, libc::MS_REC])),
        _ => try_mount("/run/outside", target, "", libc::MS_BIND),
    };
    if done {
        covers.push(target.into());
    }
    stage.note(format_args!("cover {}", target.display()), done);
}

fn file_storm(stage: &Stage, dice: &mut Dice) {
    // inotify's queue has room for 16384 notices
    let files = if dice.one_in(12) { 10_000 } else { 1 + dice.below(200) };
    let kept = dice.one_in(2);
    let mut made = 0;
    for i in 0..files {
        let path = stage.dir.join(format!("storm-{}", i % 500));
        made += usize::from(File::options().write(true).create(true).truncate(true).mode(0o0).open(&path).is_ok());
        if !(kept && files < 500) {
            drop(remove_file(&path));
        }
    }
    if !kept {
        (0..500).for_each(|i| drop(remove_file(stage.dir.join(format!("storm-{i}")))));
    }
    stage.note(format_args!("{made} of {files} files, kept: {kept}"), made > 0);
}

fn mount_storm(stage: &Stage, dice: &mut Dice) {
    let rounds = if dice.one_in(60) { 8500 } else { 1 + dice.below(100) };
    let at = Path::new("/run/outside/mounts");
    drop(std::fs::create_dir(at));
    let mut mounted = 0;
    for _ in 0..rounds {
        mounted += u32::from(try_mount("/run/outside", at, "", libc::MS_BIND));
        unmount(at);
    }
    stage.note(format_args!("{mounted} of {rounds} mounts elsewhere"), mounted > 0);
}
