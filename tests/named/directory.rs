//! The watched directory is made, removed, moved, replaced, covered and uncovered.

use std::fs::{create_dir, remove_dir, remove_dir_all};

use crate::support::api::{Api, Ev, How, Kind, Kind::*, Observer};
use crate::support::thread::{Restriction, elsewhere};
use crate::support::*;
use nswatch::capi::options::NSW_DIR_EVENTS;

both! {
    ancestors_come_one_by_one
    ancestors_come_all_at_once
    an_ancestor_goes_and_comes_while_the_directory_is_missing
    it_vanishes_and_comes_again
    it_is_replaced_before_anybody_reads
    it_is_replaced_before_anybody_reads_with_names_of_the_same_kind
    it_is_moved_away_and_back
    it_is_moved_away_and_back_before_anybody_reads
    it_is_replaced_by_a_rename
    two_directories_change_places
    an_ancestor_is_renamed
    an_ancestor_changes_places_with_another
    a_file_takes_its_place
    it_is_removed_while_somebody_is_in_it
    it_is_removed_while_somebody_holds_it_open
    it_is_bound_onto_itself
    it_is_bound_onto_itself_on_an_older_kernel
    it_is_covered_and_uncovered
    its_filesystem_is_unmounted
    names_go_before_the_directory
    the_root_can_be_watched
}

/// The watched directory of these tests, with ancestors.
const DIR: &str = "/run/a/b/c/d";

fn how() -> How {
    How::dir(DIR).flags(NSW_DIR_EVENTS)
}

/// Makes the directory with a namespace "old", and watches it.
fn watched<A: Api>() -> Observer<A> {
    sandbox();
    make_dir(DIR);
    name("old");
    let mut o = Observer::open(&how());
    o.expect(&[(DirCreated, ""), (Created, "old"), (Ready, "old"), (Synced, "")]);
    o
}

/// Makes the directory, empty, and watches it.
fn watched_empty<A: Api>() -> Observer<A> {
    sandbox();
    make_dir(DIR);
    let mut o = Observer::open(&how());
    o.expect(&[(DirCreated, ""), (Synced, "")]);
    o
}

fn path(name: &str) -> String {
    format!("{DIR}/{name}")
}

/// Makes a namespace of this name.
fn name(name: &str) {
    placeholder(path(name));
    mount_new_netns(path(name));
}

/// Asserts that the events add up to the kernel's state, and that the watcher reports the next change.
fn goes_on<A: Api>(o: &mut Observer<A>) {
    o.drain();
    o.expect_nothing();
    o.expect_truth(DIR);
    assert_eq!(o.checker.directory, Some(std::path::Path::new(DIR).is_dir()));
    if std::path::Path::new(DIR).is_dir() {
        name("alive");
        o.expect(&[(Created, "alive"), (Ready, "alive")]);
        unmount(path("alive"));
        std::fs::remove_file(path("alive")).unwrap();
        o.expect(&[(Deleted, "alive")]);
    }
    assert_eq!(o.resync(), []);
}

fn kinds(events: &[Ev]) -> Vec<Kind> {
    events.iter().map(|event| event.kind).collect()
}

fn ancestors_come_one_by_one<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open(&how());
    o.expect(&[(Synced, "")]);
    for ancestor in ["/run/a", "/run/a/b", "/run/a/b/c"] {
        create_dir(ancestor).unwrap();
        o.expect_nothing();
    }
    create_dir(DIR).unwrap();
    o.expect(&[(DirCreated, "")]);
    goes_on(&mut o);
}

fn ancestors_come_all_at_once<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open(&how());
    o.expect(&[(Synced, "")]);
    for missing in ["/run/a", "/run/a/b", "/run/a/b/c", DIR, "/run/a"] {
        run("mkdir", &["-p", DIR]);
        placeholder(path("half"));
        o.expect(&[(DirCreated, ""), (Created, "half")]);
        goes_on(&mut o);
        remove_dir_all(missing).unwrap();
        o.expect(&[(Deleted, "half"), (DirDeleted, "")]);
        o.expect_nothing();
    }
}

fn an_ancestor_goes_and_comes_while_the_directory_is_missing<A: Api>() {
    sandbox();
    make_dir("/run/a/b");
    let mut o = Observer::<A>::open(&how());
    o.expect(&[(Synced, "")]);
    for _ in 0..3 {
        remove_dir_all("/run/a").unwrap();
        o.expect_nothing();
        create_dir("/run/a").unwrap();
        o.expect_nothing();
        make_dir("/run/a/b");
        o.expect_nothing();
    }
    rename("/run/a/b", "/run/a/x");
    make_dir("/run/a/x/c/d");
    o.expect_nothing();
    rename("/run/a/x", "/run/a/b");
    o.expect(&[(DirCreated, "")]);
    goes_on(&mut o);
}

fn it_vanishes_and_comes_again<A: Api>() {
    let mut o = watched::<A>();
    unmount(path("old"));
    remove_dir_all(DIR).unwrap();
    o.expect(&[(Deleted, "old"), (DirDeleted, "")]);
    goes_on(&mut o);
    create_dir(DIR).unwrap();
    o.expect(&[(DirCreated, "")]);
    goes_on(&mut o);
}

fn it_is_replaced_before_anybody_reads<A: Api>() {
    let mut o = watched_empty::<A>();
    for turn in 0..100 {
        for _ in 0..=turn % 3 {
            remove_dir_all(DIR).unwrap();
            create_dir(DIR).unwrap();
        }
        let new = format!("n{turn}");
        placeholder(path(&new));
        o.until(Created, &new);
        o.expect_nothing();
        o.expect_truth(DIR);
    }
    goes_on(&mut o);
}

fn it_is_replaced_before_anybody_reads_with_names_of_the_same_kind<A: Api>() {
    let mut o = watched::<A>();
    for _ in 0..10 {
        unmount(path("old"));
        remove_dir_all(DIR).unwrap();
        create_dir(DIR).unwrap();
        name("old");
        o.until(DirDeleted, "");
        o.expect(&[(DirCreated, ""), (Created, "old"), (Ready, "old")]);
        goes_on(&mut o);
    }
}

fn it_is_moved_away_and_back<A: Api>() {
    let mut o = watched::<A>();
    unmount(path("old"));
    rename(DIR, "/run/away");
    o.expect(&[(Deleted, "old"), (DirDeleted, "")]);
    placeholder("/run/away/unseen");
    o.expect_nothing();
    rename("/run/away", DIR);
    o.expect(&[(DirCreated, "")]);
    o.expect_unordered(&[(Created, "old"), (Created, "unseen")]);
    goes_on(&mut o);
}

fn it_is_moved_away_and_back_before_anybody_reads<A: Api>() {
    let mut o = watched::<A>();
    unmount(path("old"));
    o.resync();
    for turn in 0..5 {
        rename(DIR, "/run/away");
        placeholder(format!("/run/away/n{turn}"));
        rename("/run/away", DIR);
        o.until(Created, &format!("n{turn}"));
        goes_on(&mut o);
    }
}

fn it_is_replaced_by_a_rename<A: Api>() {
    let mut o = watched_empty::<A>();
    for turn in 0..5 {
        make_dir("/run/new");
        placeholder("/run/new/half");
        // the target of a rename must be empty
        rename("/run/new", DIR);
        o.expect(&[(DirDeleted, ""), (DirCreated, ""), (Created, "half")]);
        goes_on(&mut o);
        std::fs::remove_file(path("half")).unwrap();
        if turn % 2 == 0 {
            o.expect(&[(Deleted, "half")]);
        } else {
            make_dir("/run/next");
            rename("/run/next", DIR);
            o.expect(&[(Deleted, "half"), (DirDeleted, ""), (DirCreated, "")]);
        }
    }
}

fn two_directories_change_places<A: Api>() {
    let mut o = watched::<A>();
    unmount(path("old"));
    o.resync();
    make_dir("/run/other");
    placeholder("/run/other/half");
    exchange("/run/other", DIR);
    o.expect(&[(Deleted, "old"), (DirDeleted, ""), (DirCreated, ""), (Created, "half")]);
    // the old directory is no longer watched
    placeholder("/run/other/unseen");
    goes_on(&mut o);
    exchange("/run/other", DIR);
    o.expect(&[(Deleted, "half"), (DirDeleted, ""), (DirCreated, "")]);
    o.expect_unordered(&[(Created, "old"), (Created, "unseen")]);
    goes_on(&mut o);
}

fn an_ancestor_is_renamed<A: Api>() {
    let mut o = watched::<A>();
    unmount(path("old"));
    o.resync();
    for ancestor in ["/run/a", "/run/a/b", "/run/a/b/c"] {
        rename(ancestor, "/run/away");
        o.expect(&[(Deleted, "old"), (DirDeleted, "")]);
        goes_on(&mut o);
        rename("/run/away", ancestor);
        o.expect(&[(DirCreated, ""), (Created, "old")]);
        goes_on(&mut o);
    }
}

fn an_ancestor_changes_places_with_another<A: Api>() {
    let mut o = watched::<A>();
    unmount(path("old"));
    o.resync();
    make_dir("/run/x/c/d");
    exchange("/run/x", "/run/a/b");
    o.expect(&[(Deleted, "old"), (DirDeleted, ""), (DirCreated, "")]);
    goes_on(&mut o);
    exchange("/run/x", "/run/a/b");
    o.expect(&[(DirDeleted, ""), (DirCreated, ""), (Created, "old")]);
    goes_on(&mut o);
}

fn a_file_takes_its_place<A: Api>() {
    let mut o = watched::<A>();
    unmount(path("old"));
    remove_dir_all(DIR).unwrap();
    placeholder(DIR);
    o.expect(&[(Deleted, "old"), (DirDeleted, "")]);
    goes_on(&mut o);
    std::fs::remove_file(DIR).unwrap();
    o.expect_nothing();
    create_dir(DIR).unwrap();
    o.expect(&[(DirCreated, "")]);
    // the same for the parent directory
    remove_dir_all("/run/a/b").unwrap();
    run("mkfifo", &["/run/a/b"]);
    o.expect(&[(DirDeleted, "")]);
    goes_on(&mut o);
    make_dir("/run/x/c/d");
    rename("/run/a/b", "/run/fifo");
    rename("/run/x", "/run/a/b");
    o.expect(&[(DirCreated, "")]);
    goes_on(&mut o);
}

fn it_is_removed_while_somebody_is_in_it<A: Api>() {
    let mut o = watched::<A>();
    let inside = std::process::Command::new("cat")
        .current_dir(DIR)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn();
    let mut inside = inside.unwrap();
    unmount(path("old"));
    remove_dir_all(DIR).unwrap();
    o.expect(&[(Deleted, "old"), (DirDeleted, "")]);
    goes_on(&mut o);
    create_dir(DIR).unwrap();
    o.expect(&[(DirCreated, "")]);
    goes_on(&mut o);
    // the end of the old directory does not concern the new one
    inside.kill().unwrap();
    inside.wait().unwrap();
    goes_on(&mut o);
}

fn it_is_removed_while_somebody_holds_it_open<A: Api>() {
    let mut o = watched::<A>();
    for _ in 0..3 {
        let open = std::fs::File::open(DIR).unwrap();
        o.drain();
        if std::path::Path::new(&path("old")).exists() {
            unmount(path("old"));
        }
        remove_dir_all(DIR).unwrap();
        create_dir(DIR).unwrap();
        o.until(DirCreated, "");
        goes_on(&mut o);
        drop(open);
        goes_on(&mut o);
    }
}

fn it_is_bound_onto_itself<A: Api>() {
    let mut o = watched::<A>();
    for _ in 0..2 {
        mount(DIR, DIR, None, libc::MS_BIND | libc::MS_REC);
        mount("none", DIR, None, libc::MS_REC | libc::MS_SHARED);
        o.expect_nothing();
        goes_on(&mut o);
    }
    name("below");
    o.expect(&[(Created, "below"), (Ready, "below")]);
    unmount(DIR);
    // the mounts on its names go with the mount below them, and with the peers of that mount
    assert_eq!(kinds(&o.resync()), [Detached, Detached]);
    goes_on(&mut o);
}

/// As before Linux 6.18, without cookies: the name is on another mount then, but its namespace is the same.
fn it_is_bound_onto_itself_on_an_older_kernel<A: Api>() {
    let mut restriction = Restriction::none().failing_ioctl(0x8008_b70d, libc::ENOTTY);
    restriction = restriction.failing(libc::SYS_name_to_handle_at, libc::EOPNOTSUPP);
    elsewhere(&restriction, || {
        it_is_bound_onto_itself::<A>();
        drop(watched::<A>());
        let mut o = Observer::<A>::open(&how());
        o.until(Ready, "old");
        mount(DIR, DIR, None, libc::MS_BIND | libc::MS_REC);
        drop(o.api.open_netns().expect("what was announced is still there"));
    });
}

fn it_is_covered_and_uncovered<A: Api>() {
    let mut o = watched::<A>();
    for _ in 0..3 {
        mount("cover", DIR, Some("tmpfs"), 0);
        // inotify does not report this; a resync finds it
        assert_eq!(kinds(&o.resync()), [Deleted, DirDeleted, DirCreated]);
        goes_on(&mut o);
        name("above");
        o.expect(&[(Created, "above"), (Ready, "above")]);
        unmount(path("above"));
        unmount(DIR);
        // the cover is gone with its last mount, and inotify reports that
        o.until(Ready, "old");
        goes_on(&mut o);
    }
    // a cover that is still in use elsewhere goes unnoticed until a resync
    make_dir("/run/cover");
    bind("/run/cover", DIR);
    assert_eq!(kinds(&o.resync()), [Deleted, DirDeleted, DirCreated]);
    goes_on(&mut o);
    unmount(DIR);
    assert_eq!(kinds(&o.resync()), [DirDeleted, DirCreated, Created, Ready]);
    goes_on(&mut o);
}

fn its_filesystem_is_unmounted<A: Api>() {
    sandbox();
    make_dir("/run/a");
    mount("part", "/run/a", Some("tmpfs"), 0);
    make_dir(DIR);
    placeholder(path("half"));
    let mut o = Observer::<A>::open(&how());
    o.expect(&[(DirCreated, ""), (Created, "half"), (Synced, "")]);
    unmount("/run/a");
    o.expect(&[(Deleted, "half"), (DirDeleted, "")]);
    goes_on(&mut o);
    make_dir(DIR);
    o.expect(&[(DirCreated, "")]);
    goes_on(&mut o);
}

fn names_go_before_the_directory<A: Api>() {
    sandbox();
    make_dir(DIR);
    (0..50).for_each(|n| placeholder(path(&format!("n{n}"))));
    let mut o = Observer::<A>::open_synced(&how());
    // in one step, so that the kernel reports none of the names
    rename("/run/a", "/run/away");
    let mut events = vec![o.next()];
    events.extend(o.drain());
    let (last, names) = events.split_last().unwrap();
    assert_eq!(last.kind, DirDeleted);
    assert!(names.len() == 50 && names.iter().all(|event| event.kind == Deleted), "{events:#?}");
    goes_on(&mut o);
    assert!(remove_dir(DIR).is_err());
}

fn the_root_can_be_watched<A: Api>() {
    sandbox();
    let mut o = Observer::<A>::open_synced(&How::dir("/"));
    o.expect_nothing();
    // all tests would see a link at the top: this one only checks that the watcher opens and replays everything
    o.expect_truth("/");
    assert_eq!(o.resync(), []);
}
