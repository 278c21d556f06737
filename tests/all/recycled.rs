//! Before Linux 6.18 a namespace has no cookie, and a later one can have its inode number. A filter makes this kernel
//! act so: on the threads of these tests, requests for a cookie fail.

use super::actor::Actor;
use super::support::api::{Api, How, Kind, Observer};
use super::support::grammar::Id;
use super::support::thread::{Restriction, SEND, elsewhere};
use super::support::*;
use nswatch::capi::options::NSW_NO_REPLAY;

both! {
    a_later_namespace_has_the_inode_number
    one_is_followed_by_another_unseen
    a_resync_finds_the_later_one
    one_that_was_not_replayed_is_followed_by_a_later_one
    one_that_gets_another_name_is_the_same
    lost_rights_end_no_watch
    one_found_while_the_post_was_refused_is_watched_later
    without_rights_nothing_false_is_reported
}

const BLUE: &str = "/run/netns/blue";
const NS_GET_ID: u32 = 0x8008_b70d;
const LISTNS: libc::c_long = 470;

fn without_cookies(restriction: Restriction) -> Restriction {
    restriction
        .failing_ioctl(NS_GET_ID, libc::ENOTTY)
        .failing(libc::SYS_name_to_handle_at, libc::EOPNOTSUPP)
        .failing(libc::SYS_open_by_handle_at, libc::ESTALE)
        .failing(LISTNS, libc::ENOSYS)
}

/// Neither a thread nor a child can make a post.
fn without_a_post() -> Restriction {
    without_cookies(Restriction::none()).failing(libc::SYS_unshare, libc::EPERM).failing_user_namespace(libc::EPERM)
}

fn blue() -> Id {
    let netns = kernel::netns(BLUE).unwrap();
    assert_eq!(netns.2, 0, "the filter lets a cookie through");
    netns
}

/// Mounts a later namespace in place of this one, with the same numbers unless others have taken them.
fn succeed(first: Id) -> Id {
    unmount(BLUE);
    mount_successor(BLUE, first.1);
    blue()
}

impl<A: Api> Observer<A> {
    /// Resyncs. The search for an inode number makes more records than fit.
    fn compare(&mut self) {
        assert_eq!(self.api.resync(), Ok(()));
        self.until(Kind::Synced, "");
    }

    /// The events about a namespace with these numbers.
    fn life(&self, netns: Id) -> Vec<Kind> {
        self.log.iter().filter(|event| event.netns() == netns).map(|event| event.kind).collect()
    }
}

/// The events about two, one after the other, if the second one has the numbers of the first.
const TWO: [Kind; 3] = [Kind::NetnsNew, Kind::NetnsDel, Kind::NetnsNew];

fn expected(first: Id, second: Id) -> Vec<Kind> {
    if first == second { TWO.to_vec() } else { TWO[2..].to_vec() }
}

fn a_later_namespace_has_the_inode_number<A: Api>() {
    sandbox();
    ip_netns(&["add", "blue"]);
    elsewhere(&without_cookies(Restriction::none()), || {
        let first = blue();
        let mut watcher = Observer::<A>::open_synced(&How::all());
        ip_netns(&["del", "blue"]);
        watcher.until_netns(Kind::NetnsDel, first);
        placeholder(BLUE);
        mount_successor(BLUE, first.1);
        watcher.until_netns(Kind::NetnsNew, blue());
        assert_eq!(watcher.life(blue()), expected(first, blue()));
    });
}

fn one_is_followed_by_another_unseen<A: Api>() {
    sandbox();
    ip_netns(&["add", "blue"]);
    for how in [Restriction::none(), Restriction::none().failing(libc::SYS_perf_event_open, libc::EACCES)] {
        elsewhere(&without_cookies(how), || {
            let first = blue();
            let mut watcher = Observer::<A>::open_synced(&How::all());
            let second = succeed(first);
            watcher.until_netns(Kind::NetnsDel, first);
            if !watcher.believes(second) {
                watcher.until_netns(Kind::NetnsNew, second);
            }
            watcher.compare();
            assert_eq!(watcher.life(second), expected(first, second));
        });
    }
}

fn one_found_while_the_post_was_refused_is_watched_later<A: Api>() {
    sandbox();
    let actor = Actor::new();
    elsewhere(&without_cookies(Restriction::none()), || {
        let mut watcher = Observer::<A>::open_synced(&How::all());
        actor.act(|| ip_netns(&["add", "blue"]));
        let netns = blue();
        elsewhere(&Restriction::none().failing(SEND, libc::EPERM), || watcher.until_netns(Kind::NetnsNew, netns));
        watcher.compare();
        assert_eq!(watcher.life(netns), [Kind::NetnsNew]);
        actor.act(|| ip_netns(&["del", "blue"]));
        watcher.until_netns(Kind::NetnsDel, netns);
    });
}

/// The watcher has not read the kernel's notice of the death.
fn a_resync_finds_the_later_one<A: Api>() {
    sandbox();
    ip_netns(&["add", "blue"]);
    elsewhere(&without_cookies(Restriction::none()), || {
        let first = blue();
        let mut watcher = Observer::<A>::open_synced(&How::all());
        let second = succeed(first);
        watcher.compare();
        assert_eq!(watcher.life(second), expected(first, second));
        watcher.compare();
        assert_eq!(watcher.life(second), expected(first, second));
    });
}

fn one_that_was_not_replayed_is_followed_by_a_later_one<A: Api>() {
    sandbox();
    ip_netns(&["add", "blue"]);
    elsewhere(&without_cookies(Restriction::none()), || {
        let mut watcher = Observer::<A>::open(&How::all().flags(NSW_NO_REPLAY));
        let second = succeed(blue());
        watcher.until_netns(Kind::NetnsNew, second);
        assert_eq!(watcher.life(second), [Kind::NetnsNew]);
        watcher.compare();
        unmount(BLUE);
        watcher.until_netns(Kind::NetnsDel, second);
        assert_eq!(watcher.life(second), [Kind::NetnsNew, Kind::NetnsDel]);
    });
}

/// Its inode is new, and has another stamp.
fn one_that_gets_another_name_is_the_same<A: Api>() {
    sandbox();
    let sleeper = Sleeper::new();
    let pid = sleeper.pid().to_string();
    ip_netns(&["attach", "blue", &pid]);
    elsewhere(&without_cookies(Restriction::none()), || {
        let netns = blue();
        let mut watcher = Observer::<A>::open_synced(&How::all());
        ip_netns(&["del", "blue"]);
        ip_netns(&["attach", "blue", &pid]);
        watcher.compare();
        assert_eq!(watcher.life(netns), [Kind::NetnsNew]);
        ip_netns(&["del", "blue"]);
        drop(sleeper);
        watcher.until_netns(Kind::NetnsDel, netns);
    });
}

/// The watch goes on, though the watcher cannot check which namespace it is.
fn lost_rights_end_no_watch<A: Api>() {
    sandbox();
    let sleeper = Sleeper::new();
    let pid = sleeper.pid().to_string();
    let actor = Actor::new();
    ip_netns(&["attach", "blue", &pid]);
    elsewhere(&without_cookies(Restriction::none()), || {
        let netns = blue();
        let mut watcher = Observer::<A>::open_synced(&How::all());
        elsewhere(&Restriction::powerless(), || {
            watcher.compare();
            actor.act(move || {
                ip_netns(&["del", "blue"]);
                ip_netns(&["attach", "blue", &pid]);
            });
            watcher.compare();
            assert_eq!(watcher.life(netns), [Kind::NetnsNew]);
            actor.act(move || {
                drop(sleeper);
                ip_netns(&["del", "blue"]);
            });
            watcher.until_netns(Kind::NetnsDel, netns);
        });
    });
}

fn without_rights_nothing_false_is_reported<A: Api>() {
    sandbox();
    let (actor, sleeper) = (Actor::new(), Sleeper::new());
    ip_netns(&["add", "blue"]);
    elsewhere(&without_a_post(), || {
        let (first, kept) = (blue(), kernel::netns(sleeper.namespace("net")).unwrap());
        let mut watcher = Observer::<A>::open_synced(&How::all());
        // by the actor: on some architectures this thread starts no program without clone(2)
        let pid = sleeper.pid().to_string();
        actor.act(move || ip_netns(&["attach", "red", &pid]));
        watcher.compare();
        actor.act(|| ip_netns(&["del", "red"]));
        watcher.compare();
        assert_eq!(watcher.life(kept), [Kind::NetnsNew]);
        actor.act(|| ip_netns(&["del", "blue"]));
        watcher.compare();
        assert_eq!(watcher.life(first), [Kind::NetnsNew]);
        // only the stamp of the mount distinguishes them
        placeholder(BLUE);
        actor.act(move || {
            mount_successor(BLUE, first.1);
        });
        watcher.compare();
        assert_eq!(watcher.life(blue()), expected(first, blue()));
    });
}
