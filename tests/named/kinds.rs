//! Names and network namespaces among links, directories and other files; names of any bytes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::support::api::{Api, How, Kind::*, Observer};
use crate::support::*;

both! {
    a_link_to_a_namespace_is_ready_at_once
    a_link_to_a_namespace_of_another_kind_is_never_ready
    a_bound_namespace_of_another_kind_is_never_ready
    a_dangling_link_and_a_loop_are_names
    a_dangling_link_becomes_ready_when_its_target_is_mounted
    a_link_to_a_name
    a_directory_is_no_name
    a_directory_is_moved_in_and_out
    a_fifo_a_socket_and_a_device_are_names
    a_hard_link_is_a_name
    an_unreadable_placeholder
    names_are_bytes
    names_are_bytes_when_they_are_replayed
}

fn watched<A: Api>() -> Observer<A> {
    sandbox();
    make_dir(RUN_NETNS);
    let mut o = Observer::open(&How::default());
    o.expect(&[(Synced, "")]);
    o
}

/// Asserts that nothing more happens, that the events add up to the kernel's state, and that a new watcher replays it.
fn end<A: Api>(o: &mut Observer<A>) {
    o.expect_nothing();
    o.expect_truth(RUN_NETNS);
    assert_eq!(o.resync(), []);
    Observer::<A>::open_synced(&How::default()).expect_truth(RUN_NETNS);
}

fn a_link_to_a_namespace_is_ready_at_once<A: Api>() {
    let mut o = watched::<A>();
    let process = Sleeper::new();
    symlink(process.namespace("net"), "/run/netns/link");
    let ready = &o.expect(&[(Created, "link"), (Ready, "link")])[1];
    assert_eq!(Some((ready.dev, ready.ino, ready.cookie)), kernel::netns(process.namespace("net")));
    // the watcher waits for no mount
    assert_eq!(kernel::listens_to(o.api.fd()).iter().filter(|fd| fd.contains("inotify")).count(), 1);
    end(&mut o);
    drop(process);
    // no notification reports the end of a process; a resync finds it
    assert_eq!(o.resync()[0].brief(), (Detached, "link".into()));
    std::fs::remove_file("/run/netns/link").unwrap();
    o.expect(&[(Deleted, "link")]);
    end(&mut o);
}

fn a_link_to_a_namespace_of_another_kind_is_never_ready<A: Api>() {
    let mut o = watched::<A>();
    for kind in ["uts", "mnt", "ipc", "pid", "user", "time"] {
        symlink(format!("/proc/self/ns/{kind}"), format!("{RUN_NETNS}/{kind}"));
        o.expect(&[(Created, kind)]);
    }
    end(&mut o);
}

fn a_bound_namespace_of_another_kind_is_never_ready<A: Api>() {
    let mut o = watched::<A>();
    placeholder("/run/netns/uts");
    o.expect(&[(Created, "uts")]);
    bind("/proc/self/ns/uts", "/run/netns/uts");
    o.expect_nothing();
    mount_new_netns("/run/netns/uts");
    o.expect(&[(Ready, "uts")]);
    end(&mut o);
    unmount("/run/netns/uts");
    assert_eq!(o.resync()[0].brief(), (Detached, "uts".into()));
    end(&mut o);
}

fn a_dangling_link_and_a_loop_are_names<A: Api>() {
    let mut o = watched::<A>();
    symlink("/run/nowhere", "/run/netns/dangling");
    symlink("loop", "/run/netns/loop");
    symlink("/proc/self/fd", "/run/netns/to-a-directory");
    o.expect(&[(Created, "dangling"), (Created, "loop"), (Created, "to-a-directory")]);
    end(&mut o);
    std::fs::remove_file("/run/netns/loop").unwrap();
    o.expect(&[(Deleted, "loop")]);
    end(&mut o);
}

fn a_dangling_link_becomes_ready_when_its_target_is_mounted<A: Api>() {
    let mut o = watched::<A>();
    make_dir("/run/docker");
    symlink("../docker/blue", "/run/netns/blue");
    o.expect(&[(Created, "blue")]);
    placeholder("/run/docker/blue");
    mount_new_netns("/run/docker/blue");
    o.expect(&[(Ready, "blue")]);
    end(&mut o);
}

fn a_link_to_a_name<A: Api>() {
    let mut o = watched::<A>();
    symlink("blue", "/run/netns/alias");
    o.expect(&[(Created, "alias")]);
    placeholder("/run/netns/blue");
    o.expect(&[(Created, "blue")]);
    mount_new_netns("/run/netns/blue");
    o.expect(&[(Ready, "alias"), (Ready, "blue")]);
    end(&mut o);
}

fn a_directory_is_no_name<A: Api>() {
    let mut o = watched::<A>();
    make_dir("/run/netns/directory/below");
    placeholder("/run/netns/directory/file");
    placeholder("/run/netns/name");
    o.expect(&[(Created, "name")]);
    end(&mut o);
    // a directory replaces a name, and a name a directory
    std::fs::remove_file("/run/netns/name").unwrap();
    make_dir("/run/netns/name");
    o.expect(&[(Deleted, "name")]);
    end(&mut o);
    std::fs::remove_dir("/run/netns/name").unwrap();
    placeholder("/run/netns/name");
    o.expect(&[(Created, "name")]);
    end(&mut o);
}

fn a_directory_is_moved_in_and_out<A: Api>() {
    let mut o = watched::<A>();
    make_dir("/run/directory");
    for _ in 0..2 {
        rename("/run/directory", "/run/netns/directory");
        end(&mut o);
        rename("/run/netns/directory", "/run/netns/other");
        end(&mut o);
        rename("/run/netns/other", "/run/directory");
        end(&mut o);
    }
}

fn a_fifo_a_socket_and_a_device_are_names<A: Api>() {
    let mut o = watched::<A>();
    run("mkfifo", &["/run/netns/fifo"]);
    o.expect(&[(Created, "fifo")]);
    let _socket = std::os::unix::net::UnixListener::bind("/run/netns/socket").unwrap();
    o.expect(&[(Created, "socket")]);
    if is_real_root() {
        run("mknod", &["/run/netns/device", "c", "1", "3"]);
    } else {
        placeholder("/run/netns/device");
        bind("/dev/null", "/run/netns/device");
    }
    o.expect(&[(Created, "device")]);
    // opening a terminal could make it the controlling one, and rewind a tape: the watcher opens neither
    placeholder("/run/netns/terminal");
    bind("/dev/ptmx", "/run/netns/terminal");
    o.expect(&[(Created, "terminal")]);
    o.expect_nothing();
    // nor do they prevent other events
    ip_netns(&["add", "blue"]);
    o.expect(&[(Created, "blue"), (Ready, "blue")]);
    // a replay reports the same
    end(&mut o);
    mount_new_netns("/run/netns/fifo");
    o.expect(&[(Ready, "fifo")]);
    end(&mut o);
}

fn a_hard_link_is_a_name<A: Api>() {
    let mut o = watched::<A>();
    placeholder("/run/netns/one");
    std::fs::hard_link("/run/netns/one", "/run/netns/two").unwrap();
    o.expect(&[(Created, "one"), (Created, "two")]);
    mount_new_netns("/run/netns/two");
    o.expect(&[(Ready, "two")]);
    end(&mut o);
}

fn an_unreadable_placeholder<A: Api>() {
    let mut o = watched::<A>();
    placeholder("/run/netns/secret");
    std::fs::set_permissions("/run/netns/secret", PermissionsExt::from_mode(0o000)).unwrap();
    o.expect(&[(Created, "secret")]);
    o.expect_nothing();
    mount_new_netns("/run/netns/secret");
    o.expect(&[(Ready, "secret")]);
    end(&mut o);
}

/// Unusual names, all of which `ip netns` accepts.
fn strange_names() -> Vec<Vec<u8>> {
    let longest = vec![b'x'; 255];
    let longest_bytes = vec![0xff; 255];
    let every_byte = (1..=255).filter(|byte| *byte != b'/').collect();
    let some: [&[u8]; 9] =
        [b"a b", b" ", b"line\nbreak", b"\n", b"\xff\xfe", b"tab\t", b"\"'\\$(true)", b"...", "grün".as_bytes()];
    some.iter().map(|name| name.to_vec()).chain([longest, longest_bytes, every_byte]).collect()
}

fn in_run_netns(name: &[u8]) -> PathBuf {
    PathBuf::from(RUN_NETNS).join(OsStr::from_bytes(name))
}

/// `ip netns COMMAND NAME` for any bytes.
fn ip_netns_bytes(command: &str, name: &[u8]) {
    let status = std::process::Command::new("ip").args(["netns", command]).arg(OsStr::from_bytes(name)).status();
    assert!(status.unwrap().success(), "ip netns {command} {:?}", OsStr::from_bytes(name));
}

fn names_are_bytes<A: Api>() {
    let mut o = watched::<A>();
    for name in strange_names() {
        ip_netns_bytes("add", &name);
        let (created, ready) = (o.next(), o.next());
        assert_eq!((created.kind, created.name.as_ref()), (Created, Some(&name)));
        assert_eq!((ready.kind, ready.name.as_ref()), (Ready, Some(&name)));
        assert_eq!(Some((ready.dev, ready.ino, ready.cookie)), kernel::netns(in_run_netns(&name)));
        drop(o.api.open_netns().unwrap());
    }
    end(&mut o);
    for name in strange_names() {
        ip_netns_bytes("del", &name);
        let deleted = o.next();
        assert_eq!((deleted.kind, deleted.name.as_ref()), (Deleted, Some(&name)));
    }
    end(&mut o);
}

fn names_are_bytes_when_they_are_replayed<A: Api>() {
    sandbox();
    for name in strange_names() {
        ip_netns_bytes("add", &name);
    }
    let mut o = Observer::<A>::open_synced(&How::default());
    assert_eq!(o.checker.names.len(), strange_names().len());
    assert!(o.checker.names.values().all(Option::is_some));
    end(&mut o);
}
