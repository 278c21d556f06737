//! Fewer rights than at open, or another place: the watcher sees less, and later, and reports nothing false.

use super::actor::Actor;
use super::support::api::{Api, How, Kind, Observer};
use super::support::grammar::Id;
use super::support::nsid::{anonymous, list_id};
use super::support::thread::{Restriction, elsewhere};
use super::support::*;
use nswatch::Feature;

both! {
    without_privilege_deaths_are_reported_and_births_found
    without_user_namespaces_nothing_false_is_reported
    a_namespace_that_got_a_name_is_opened_by_it
    namespaces_watched_before_rights_were_lost_are_reported
    namespaces_found_after_rights_were_lost_are_watched_too
    a_resync_finds_the_death_of_an_openable_namespace
    from_another_mount_namespace_nothing_is_probed
    no_nsid_of_the_host_is_given
}

fn blue() -> Id {
    kernel::netns("/run/netns/blue").unwrap()
}

fn no_user_namespaces() -> Restriction {
    Restriction::powerless().failing_user_namespace(libc::EPERM)
}

fn without_privilege_deaths_are_reported_and_births_found<A: Api>() {
    sandbox();
    let actor = Actor::new();
    ip_netns(&["add", "blue"]);
    let first = blue();
    elsewhere(&Restriction::powerless(), || {
        assert!(Feature::Deaths.is_available().unwrap());
        assert!(!Feature::Births.is_available().unwrap() && !Feature::ListNs.is_available().unwrap());
        let mut watcher = Observer::<A>::open_synced(&How::all());
        assert!(watcher.believes(first));
        actor.act(|| ip_netns(&["del", "blue"]));
        watcher.until_netns(Kind::NetnsDel, first);
        actor.act(|| ip_netns(&["add", "blue"]));
        watcher.resync();
        let second = blue();
        assert!(watcher.believes(second));
        assert!(watcher.log.iter().any(|event| event.netns() == second && event.kind == Kind::NetnsNew));
        actor.act(|| ip_netns(&["del", "blue"]));
        watcher.until_netns(Kind::NetnsDel, second);
    });
}

/// `ip netns add` is in the namespace when the watcher finds it, and has ended when the event is read.
fn a_namespace_that_got_a_name_is_opened_by_it<A: Api>() {
    sandbox();
    let (sleeper, mut watcher) = (Sleeper::new(), Observer::<A>::open(&How::all()));
    let netns = kernel::netns(sleeper.namespace("net")).unwrap();
    ip_netns(&["attach", "blue", &sleeper.pid().to_string()]);
    drop(sleeper);
    let event = watcher.until_netns(Kind::NetnsNew, netns);
    assert_ne!(event.pid, 0);
    elsewhere(&Restriction::powerless(), || {
        let opened = std::fs::File::from(watcher.api.open_netns().unwrap());
        assert_eq!(kernel::netns_of(&opened), Some(netns));
    });
}

fn without_user_namespaces_nothing_false_is_reported<A: Api>() {
    sandbox();
    let actor = Actor::new();
    ip_netns(&["add", "blue"]);
    let netns = blue();
    elsewhere(&no_user_namespaces(), || {
        assert!(!Feature::Deaths.is_available().unwrap());
        let mut watcher = Observer::<A>::open_synced(&How::all());
        assert!(watcher.believes(netns));
        let kept = std::fs::File::open("/run/netns/blue").unwrap();
        actor.act(|| ip_netns(&["del", "blue"]));
        watcher.resync();
        // it lives on, and nothing here can check
        assert!(watcher.believes(netns));
        drop(kept);
        watcher.resync();
        assert!(watcher.believes(netns));
    });
}

fn namespaces_watched_before_rights_were_lost_are_reported<A: Api>() {
    sandbox();
    let actor = Actor::new();
    ip_netns(&["add", "blue"]);
    let netns = blue();
    let mut watcher = Observer::<A>::open_synced(&How::all());
    elsewhere(&no_user_namespaces(), || {
        actor.act(|| ip_netns(&["del", "blue"]));
        watcher.until_netns(Kind::NetnsDel, netns);
        actor.act(|| ip_netns(&["add", "blue"]));
        watcher.resync();
        assert!(watcher.believes(blue()));
    });
}

fn namespaces_found_after_rights_were_lost_are_watched_too<A: Api>() {
    sandbox();
    let actor = Actor::new();
    let mut watcher = Observer::<A>::open_synced(&How::all());
    elsewhere(&Restriction::powerless(), || {
        actor.act(|| ip_netns(&["add", "blue"]));
        watcher.until_netns(Kind::NetnsNew, blue());
        let netns = blue();
        actor.act(|| ip_netns(&["del", "blue"]));
        watcher.until_netns(Kind::NetnsDel, netns);
    });
}

fn a_resync_finds_the_death_of_an_openable_namespace<A: Api>() {
    sandbox();
    if !is_real_root() {
        return skipped("only root opens any namespace by its cookie");
    }
    let can_check = kernel::shows_deaths_by_cookie();
    let actor = Actor::new();
    ip_netns(&["add", "blue"]);
    let netns = blue();
    // with CAP_SYS_ADMIN, but neither a post in a thread nor one in a child
    let refused = Restriction::none().failing(libc::SYS_unshare, libc::EPERM).failing_user_namespace(libc::EPERM);
    elsewhere(&refused, || {
        assert!(!Feature::Deaths.is_available().unwrap());
        let mut watcher = Observer::<A>::open_synced(&How::all());
        let kept = std::fs::File::open("/run/netns/blue").unwrap();
        actor.act(|| ip_netns(&["del", "blue"]));
        watcher.resync();
        assert!(watcher.believes(netns), "a descriptor keeps it");
        drop(kept);
        // a resync, since nothing reports the death
        watcher.resync();
        let end = std::time::Instant::now() + DEADLINE;
        while can_check && watcher.believes(netns) {
            assert!(std::time::Instant::now() < end, "the watcher does not believe the kernel that it is dead");
            watcher.resync();
        }
        // a namespace that cannot be opened may live
        assert_eq!(watcher.believes(netns), !can_check);
    });
}

fn from_another_mount_namespace_nothing_is_probed<A: Api>() {
    sandbox();
    let actor = Actor::new();
    ip_netns(&["add", "blue"]);
    let first = blue();
    let mut watcher = Observer::<A>::open_synced(&How::all());
    elsewhere(&Restriction::none(), || {
        unshare(libc::CLONE_NEWNS).unwrap();
        assert_eq!(watcher.api.resync(), Err(libc::EXDEV));
        actor.act(|| ip_netns(&["add", "red"]));
        // the post suffices to report a death
        actor.act(|| ip_netns(&["del", "blue"]));
        loop {
            match watcher.api.next() {
                Ok(Some(event)) => {
                    watcher.checker.feed(&event);
                    if (event.kind, event.netns()) == (Kind::NetnsDel, first) {
                        break;
                    }
                }
                Err(errno) => assert_eq!(errno, libc::EXDEV),
                Ok(None) => assert!(api::readable(watcher.api.fd(), DEADLINE)),
            }
        }
        assert!(api::readable(watcher.api.fd(), DEADLINE));
    });
    watcher.until(Kind::Synced, "");
    let red = kernel::netns("/run/netns/red").unwrap();
    // before Linux 6.18 it can have the numbers of the first
    assert!(watcher.believes(red) && (red == first || !watcher.believes(first)));
}

fn no_nsid_of_the_host_is_given<A: Api>() {
    sandbox();
    let before = list_id();
    let other = anonymous();
    let mut watcher = Observer::<A>::open_synced(&How::all());
    ip_netns(&["add", "blue"]);
    watcher.until_netns(Kind::NetnsNew, blue());
    assert_eq!((list_id(), super::support::nsid::id_of(&other)), (before, -1));
}
