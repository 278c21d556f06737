//! A watched path through symbolic links, dots, and unreadable directories.

use std::os::unix::fs::PermissionsExt;

use crate::support::api::{Api, How, Kind::*, Observer};
use crate::support::*;
use nswatch::capi::options::NSW_DIR_EVENTS;

both! {
    a_linked_ancestor_as_var_run_is
    a_linked_directory
    a_retargeted_link
    a_retargeted_link_before_anybody_reads
    a_link_that_is_removed_and_comes_again
    a_dangling_link_whose_target_appears
    links_to_links
    a_link_in_the_middle_of_the_chain_changes
    a_loop_of_links_is_refused_and_a_later_one_counts_as_missing
    a_link_inside_the_directory_to_itself
    dots_and_slashes
    a_link_of_proc
    a_link_in_a_directory_that_moves
    a_step_of_the_path_becomes_the_directory
}

fn how(dir: &str) -> How {
    How::dir(dir).flags(NSW_DIR_EVENTS)
}

/// A watcher of `dir`, which exists and is empty.
fn watched<A: Api>(dir: &str) -> Observer<A> {
    let mut o = Observer::open(&how(dir));
    o.expect(&[(DirCreated, ""), (Synced, "")]);
    o
}

/// Asserts that the watcher of `dir` reports a name made in `real`.
fn goes_on<A: Api>(o: &mut Observer<A>, dir: &str, real: &str) {
    o.expect_nothing();
    o.expect_truth(dir);
    let path = format!("{real}/alive");
    placeholder(&path);
    mount_new_netns(&path);
    o.expect(&[(Created, "alive"), (Ready, "alive")]);
    o.api.open_netns().unwrap();
    unmount(&path);
    std::fs::remove_file(&path).unwrap();
    o.expect(&[(Deleted, "alive")]);
    assert_eq!(o.resync(), []);
    o.expect_nothing();
}

fn a_linked_ancestor_as_var_run_is<A: Api>() {
    sandbox();
    make_dir("/run/var");
    symlink("/run", "/run/var/run");
    let mut o = Observer::<A>::open(&how("/run/var/run/netns"));
    o.expect(&[(Synced, "")]);
    ip_netns(&["add", "blue"]);
    o.expect(&[(DirCreated, ""), (Created, "blue"), (Ready, "blue")]);
    o.api.open_netns().unwrap();
    goes_on(&mut o, "/run/var/run/netns", RUN_NETNS);
}

fn a_linked_directory<A: Api>() {
    sandbox();
    make_dir("/run/real/netns");
    symlink("real/netns", "/run/link");
    let mut o = watched::<A>("/run/link");
    goes_on(&mut o, "/run/link", "/run/real/netns");
    std::fs::remove_dir("/run/real/netns").unwrap();
    o.expect(&[(DirDeleted, "")]);
    make_dir("/run/real/netns");
    o.expect(&[(DirCreated, "")]);
    goes_on(&mut o, "/run/link", "/run/real/netns");
}

/// Lets a link lead elsewhere in one step.
fn retarget(link: &str, target: &str) {
    symlink(target, "/run/new-link");
    rename("/run/new-link", link);
}

fn a_retargeted_link<A: Api>() {
    sandbox();
    make_dir("/run/one");
    make_dir("/run/other");
    placeholder("/run/other/half");
    symlink("one", "/run/link");
    let mut o = watched::<A>("/run/link");
    for _ in 0..3 {
        retarget("/run/link", "other");
        o.expect(&[(DirDeleted, ""), (DirCreated, ""), (Created, "half")]);
        goes_on(&mut o, "/run/link", "/run/other");
        retarget("/run/link", "nowhere");
        o.expect(&[(Deleted, "half"), (DirDeleted, "")]);
        o.expect_nothing();
        retarget("/run/link", "one");
        o.expect(&[(DirCreated, "")]);
        goes_on(&mut o, "/run/link", "/run/one");
    }
}

fn a_retargeted_link_before_anybody_reads<A: Api>() {
    sandbox();
    make_dir("/run/one");
    make_dir("/run/other");
    symlink("one", "/run/link");
    let mut o = watched::<A>("/run/link");
    for turn in 0..10 {
        for _ in 0..=turn {
            retarget("/run/link", "other");
            retarget("/run/link", "one");
        }
        // back to the old target: nothing has happened
        goes_on(&mut o, "/run/link", "/run/one");
    }
    // a second path to the same place
    retarget("/run/link", "/run/./one");
    goes_on(&mut o, "/run/link", "/run/one");
}

fn a_link_that_is_removed_and_comes_again<A: Api>() {
    sandbox();
    make_dir("/run/real");
    symlink("real", "/run/link");
    let mut o = watched::<A>("/run/link");
    for _ in 0..3 {
        std::fs::remove_file("/run/link").unwrap();
        o.expect(&[(DirDeleted, "")]);
        placeholder("/run/real/unseen");
        o.expect_nothing();
        std::fs::remove_file("/run/real/unseen").unwrap();
        symlink("/run/real", "/run/link");
        o.expect(&[(DirCreated, "")]);
        goes_on(&mut o, "/run/link", "/run/real");
    }
}

fn a_dangling_link_whose_target_appears<A: Api>() {
    sandbox();
    symlink("/run/a/b/netns", "/run/link");
    let mut o = Observer::<A>::open(&how("/run/link"));
    o.expect(&[(Synced, "")]);
    for _ in 0..2 {
        make_dir("/run/a");
        o.expect_nothing();
        make_dir("/run/a/b/netns");
        o.expect(&[(DirCreated, "")]);
        goes_on(&mut o, "/run/link", "/run/a/b/netns");
        std::fs::remove_dir_all("/run/a").unwrap();
        o.expect(&[(DirDeleted, "")]);
        o.expect_nothing();
    }
}

fn links_to_links<A: Api>() {
    sandbox();
    make_dir("/run/real/netns");
    symlink("/run/l2", "/run/l1");
    symlink("./real/../l3", "/run/l2");
    symlink("real", "/run/l3");
    let mut o = watched::<A>("/run/l1/netns");
    goes_on(&mut o, "/run/l1/netns", "/run/real/netns");
}

fn a_link_in_the_middle_of_the_chain_changes<A: Api>() {
    sandbox();
    make_dir("/run/real/netns");
    make_dir("/run/other/netns");
    make_dir("/run/x/y");
    symlink("/run/x/y/l2", "/run/l1");
    symlink("../../real", "/run/x/y/l2");
    let mut o = watched::<A>("/run/l1/netns");
    retarget("/run/x/y/l2", "../../other");
    o.expect(&[(DirDeleted, ""), (DirCreated, "")]);
    goes_on(&mut o, "/run/l1/netns", "/run/other/netns");
    // a relative link depends on its place: one level up this one leads nowhere
    rename("/run/x/y", "/run/y");
    o.expect(&[(DirDeleted, "")]);
    o.expect_nothing();
    rename("/run/y", "/run/x/y");
    o.expect(&[(DirCreated, "")]);
    goes_on(&mut o, "/run/l1/netns", "/run/other/netns");
}

fn a_loop_of_links_is_refused_and_a_later_one_counts_as_missing<A: Api>() {
    sandbox();
    symlink("l2", "/run/l1");
    symlink("l1", "/run/l2");
    assert_eq!(A::open(&How::dir("/run/l1")).err(), Some(libc::ELOOP));
    assert_eq!(A::open(&How::dir("/run/l1/netns")).err(), Some(libc::ELOOP));
    make_dir("/run/real");
    retarget("/run/l2", "real");
    let mut o = watched::<A>("/run/l1");
    retarget("/run/l2", "l1");
    o.expect(&[(DirDeleted, "")]);
    o.expect_nothing();
    retarget("/run/l2", "real");
    o.expect(&[(DirCreated, "")]);
    goes_on(&mut o, "/run/l1", "/run/real");
}

fn a_link_inside_the_directory_to_itself<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    symlink(".", "/run/netns/self");
    let mut o = Observer::<A>::open(&how("/run/netns/self"));
    o.expect(&[(DirCreated, ""), (Created, "self"), (Synced, "")]);
    goes_on(&mut o, RUN_NETNS, RUN_NETNS);
    // both a name and a part of the path
    std::fs::remove_file("/run/netns/self").unwrap();
    o.expect(&[(Deleted, "self"), (DirDeleted, "")]);
    o.expect_nothing();
    symlink(".", "/run/netns/self");
    o.expect(&[(DirCreated, ""), (Created, "self")]);
    goes_on(&mut o, RUN_NETNS, RUN_NETNS);
}

fn dots_and_slashes<A: Api>() {
    sandbox();
    make_dir("/run/netns/sub");
    for dir in ["/run/netns/", "//run///netns/.", "/run/./netns/sub/..", "/../run/netns"] {
        let mut o = watched::<A>(dir);
        goes_on(&mut o, dir, RUN_NETNS);
    }
    // a path through a directory that goes
    let mut o = watched::<A>("/run/netns/sub/..");
    std::fs::remove_dir("/run/netns/sub").unwrap();
    o.expect(&[(DirDeleted, "")]);
    o.expect_nothing();
    make_dir("/run/netns/sub");
    o.expect(&[(DirCreated, "")]);
    goes_on(&mut o, RUN_NETNS, RUN_NETNS);
}

fn a_link_of_proc<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    // the root of a process, as a caller who watches a container from outside would write it
    let dir = format!("/proc/{}/root/run/netns", std::process::id());
    // the process is the thread that has this sandbox
    let task = std::fs::read_link("/proc/thread-self").unwrap();
    let dir = dir.replace(&format!("/proc/{}", std::process::id()), &format!("/proc/{}", task.display()));
    let mut o = watched::<A>(&dir);
    goes_on(&mut o, RUN_NETNS, RUN_NETNS);
}

fn a_link_in_a_directory_that_moves<A: Api>() {
    sandbox();
    make_dir("/run/config");
    make_dir("/run/real");
    symlink("/run/real", "/run/config/link");
    let mut o = watched::<A>("/run/config/link");
    rename("/run/config", "/run/old-config");
    o.expect(&[(DirDeleted, "")]);
    o.expect_nothing();
    rename("/run/old-config", "/run/config");
    o.expect(&[(DirCreated, "")]);
    goes_on(&mut o, "/run/config/link", "/run/real");
    std::fs::set_permissions("/run/config", PermissionsExt::from_mode(0o711)).unwrap();
    goes_on(&mut o, "/run/config/link", "/run/real");
}

/// inotify watches a step of the path for removals only: notices queued before it becomes the directory must not count.
fn a_step_of_the_path_becomes_the_directory<A: Api>() {
    sandbox();
    make_dir("/run/a/b");
    placeholder("/run/a/x");
    symlink("a/b", "/run/link");
    let mut o = Observer::<A>::open_synced(&How::dir("/run/link"));
    std::fs::remove_file("/run/link").unwrap();
    symlink("a", "/run/link");
    // more notices than one read takes, so that the watcher reads those of x after the scan
    (0..1000).for_each(|i| placeholder(format!("/run/a/b/name-{i}")));
    std::fs::remove_file("/run/a/x").unwrap();
    placeholder("/run/a/x");
    o.until(Created, "x");
    o.drain();
    o.expect_truth("/run/a");
    o.expect_nothing();
}
