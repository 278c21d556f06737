//! Renamed names. A name with a mount on it cannot be renamed: these namespaces are symbolic links.

use crate::support::api::{Api, How, Kind::*, Observer, readable};
use crate::support::thread::stopped_at_each;
use crate::support::*;
use nswatch::capi::options::NSW_MOUNT_EVENTS;

both! {
    a_placeholder_is_renamed_and_mounted_late
    a_namespace_is_renamed
    a_namespace_is_renamed_into_the_directory
    a_namespace_is_renamed_out_of_the_directory
    a_namespace_is_renamed_over_another
    a_namespace_is_renamed_over_a_placeholder
    a_placeholder_is_renamed_over_a_namespace
    two_namespaces_change_places
    two_namespaces_change_places_many_times
    a_namespace_changes_places_with_one_outside
    a_name_changes_places_with_a_directory
    a_chain_of_renames_between_two_reads
    a_directory_that_changed_places_during_a_scan
    a_directory_that_changed_places_during_a_lookup
    names_change_places_while_the_directory_is_covered_for_a_moment
}

/// Watches an empty directory; makes another one, and two processes in namespaces of their own.
fn watched<A: Api>() -> (Observer<A>, [Sleeper; 2]) {
    sandbox();
    make_dir(RUN_NETNS);
    make_dir("/run/elsewhere");
    let mut o = Observer::open(&How::default());
    o.expect(&[(Synced, "")]);
    (o, [Sleeper::new(), Sleeper::new()])
}

/// Makes a namespace of this name, and expects its events.
fn link<A: Api>(o: &mut Observer<A>, to: &Sleeper, name: &str) {
    symlink(to.namespace("net"), format!("{RUN_NETNS}/{name}"));
    o.expect(&[(Created, name), (Ready, name)]);
}

fn end<A: Api>(o: &mut Observer<A>) {
    o.expect_nothing();
    o.expect_truth(RUN_NETNS);
    assert_eq!(o.resync(), []);
}

fn a_placeholder_is_renamed_and_mounted_late<A: Api>() {
    let (mut o, _) = watched::<A>();
    placeholder("/run/netns/a");
    o.expect(&[(Created, "a")]);
    rename("/run/netns/a", "/run/netns/b");
    o.expect(&[(Deleted, "a"), (Created, "b")]);
    mount_new_netns("/run/netns/b");
    o.expect(&[(Ready, "b")]);
    end(&mut o);
}

fn a_namespace_is_renamed<A: Api>() {
    let (mut o, [one, _]) = watched::<A>();
    link(&mut o, &one, "a");
    rename("/run/netns/a", "/run/netns/b");
    o.expect(&[(Deleted, "a"), (Created, "b"), (Ready, "b")]);
    end(&mut o);
}

fn a_namespace_is_renamed_into_the_directory<A: Api>() {
    let (mut o, [one, _]) = watched::<A>();
    symlink(one.namespace("net"), "/run/elsewhere/a");
    rename("/run/elsewhere/a", "/run/netns/a");
    o.expect(&[(Created, "a"), (Ready, "a")]);
    end(&mut o);
}

fn a_namespace_is_renamed_out_of_the_directory<A: Api>() {
    let (mut o, [one, _]) = watched::<A>();
    link(&mut o, &one, "a");
    rename("/run/netns/a", "/run/elsewhere/a");
    o.expect(&[(Deleted, "a")]);
    end(&mut o);
}

fn a_namespace_is_renamed_over_another<A: Api>() {
    let (mut o, [one, other]) = watched::<A>();
    link(&mut o, &one, "a");
    link(&mut o, &other, "b");
    rename("/run/netns/a", "/run/netns/b");
    o.expect(&[(Deleted, "a"), (Ready, "b")]);
    end(&mut o);
}

fn a_namespace_is_renamed_over_a_placeholder<A: Api>() {
    let (mut o, [one, _]) = watched::<A>();
    placeholder("/run/netns/a");
    o.expect(&[(Created, "a")]);
    symlink(one.namespace("net"), "/run/elsewhere/a");
    rename("/run/elsewhere/a", "/run/netns/a");
    o.expect(&[(Ready, "a")]);
    end(&mut o);
}

fn a_placeholder_is_renamed_over_a_namespace<A: Api>() {
    let (mut o, [one, _]) = watched::<A>();
    link(&mut o, &one, "a");
    placeholder("/run/elsewhere/a");
    rename("/run/elsewhere/a", "/run/netns/a");
    o.expect(&[(Detached, "a")]);
    mount_new_netns("/run/netns/a");
    o.expect(&[(Ready, "a")]);
    end(&mut o);
}

fn two_namespaces_change_places<A: Api>() {
    let (mut o, [one, other]) = watched::<A>();
    link(&mut o, &one, "a");
    link(&mut o, &other, "b");
    exchange("/run/netns/a", "/run/netns/b");
    o.until(Ready, "a");
    o.drain();
    end(&mut o);
}

fn two_namespaces_change_places_many_times<A: Api>() {
    let (mut o, [one, other]) = watched::<A>();
    link(&mut o, &one, "a");
    link(&mut o, &other, "b");
    for turns in 1..=9 {
        (0..turns).for_each(|_| exchange("/run/netns/a", "/run/netns/b"));
        o.drain();
        end(&mut o);
    }
}

fn a_namespace_changes_places_with_one_outside<A: Api>() {
    let (mut o, [one, other]) = watched::<A>();
    link(&mut o, &one, "a");
    symlink(other.namespace("net"), "/run/elsewhere/a");
    for _ in 0..3 {
        exchange("/run/netns/a", "/run/elsewhere/a");
        o.until(Ready, "a");
        end(&mut o);
    }
}

fn a_name_changes_places_with_a_directory<A: Api>() {
    let (mut o, [one, _]) = watched::<A>();
    link(&mut o, &one, "a");
    make_dir("/run/netns/b");
    exchange("/run/netns/a", "/run/netns/b");
    o.expect(&[(Deleted, "a"), (Created, "b"), (Ready, "b")]);
    exchange("/run/netns/a", "/run/netns/b");
    o.until(Ready, "a");
    end(&mut o);
}

fn a_chain_of_renames_between_two_reads<A: Api>() {
    let (mut o, [one, other]) = watched::<A>();
    link(&mut o, &one, "a");
    link(&mut o, &other, "b");
    rename("/run/netns/a", "/run/netns/c");
    rename("/run/netns/b", "/run/netns/a");
    rename("/run/netns/c", "/run/netns/b");
    rename("/run/netns/a", "/run/netns/b");
    o.until(Ready, "b");
    o.drain();
    end(&mut o);
}

/// The watcher looks names up by path: it ignores what they are in a directory that was there in between.
fn a_directory_that_changed_places_during_a_scan<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    make_dir("/run/other");
    let mut o = Observer::<A>::open_synced(&How::default());
    placeholder("/run/netns/blue");
    mount_new_netns("/run/netns/blue");
    // more notices than one read takes, so that the watcher reads those of the exchange after the scan
    (0..1000).for_each(|i| placeholder(format!("/run/netns/name-{i}")));
    exchange(RUN_NETNS, "/run/other");
    o.expect(&[(Created, "blue")]);
    exchange(RUN_NETNS, "/run/other");
    o.until(Ready, "blue");
    o.drain();
    o.expect_truth(RUN_NETNS);
}

fn a_directory_that_changed_places_during_a_lookup<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    make_dir("/run/other");
    placeholder("/run/other/blue");
    let mut o = Observer::<A>::open_synced(&How::default());
    placeholder("/run/netns/blue");
    rename("/run/netns/blue", "/run/elsewhere");
    (0..1000).for_each(|i| placeholder(format!("/run/netns/name-{i}")));
    exchange(RUN_NETNS, "/run/other");
    o.expect(&[(Created, "blue")]);
    exchange(RUN_NETNS, "/run/other");
    o.until(Created, "name-999");
    o.drain();
    o.expect_truth(RUN_NETNS);
}

/// A mount comes and goes while the watcher looks exchanged names up once more.
fn names_change_places_while_the_directory_is_covered_for_a_moment<A: Api>() {
    sandbox();
    make_dir(RUN_NETNS);
    placeholder("/run/netns/a");
    placeholder("/run/netns/b");
    let mut o = Observer::<A>::open_synced(&How::default().flags(NSW_MOUNT_EVENTS));
    for length in 1..8 {
        exchange("/run/netns/a", "/run/netns/b");
        let mut stops = 0;
        let act = |_| {
            match stops {
                0 => mount("nswatch-cover", RUN_NETNS, Some("tmpfs"), 0),
                stops if stops == length => unmount(RUN_NETNS),
                _ => {}
            }
            stops += 1;
        };
        stopped_at_each(&[libc::SYS_statx], act, || drop(o.drain()));
        if stops <= length {
            unmount(RUN_NETNS);
        }
        let end = std::time::Instant::now() + DEADLINE;
        while o.checker.believed() != kernel::names(RUN_NETNS) {
            assert!(
                readable(o.api.fd(), DEADLINE / 10) && std::time::Instant::now() < end,
                "covered for {length} calls"
            );
            o.drain();
        }
    }
}
