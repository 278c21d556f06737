//! A host and an agent in another mount namespace, as in a container or a service: which of the host's mounts reach it.
//! docs/hosts.md describes this for users.

use std::sync::mpsc::{Sender, channel};

use crate::support::api::{Api, How, Kind::*, Observer};
use crate::support::*;
use nswatch::Netns;
use nswatch::capi::options::NSW_MOUNT_EVENTS;

both! {
    a_slave_follows_the_host
    ip_netns_add_in_a_slave_hides_nothing
    a_bind_in_a_slave_hides_earlier_mounts
    the_first_ip_netns_add_comes_after_the_agent
    a_private_mount_namespace_never_has_a_ready
}

type Job = Box<dyn FnOnce() + Send>;

/// A thread that stays on the host.
struct Host(Sender<(Job, Sender<()>)>);

impl Host {
    /// Leaves the calling thread in a mount namespace of its own, which gets the host's mounts according to the flag.
    fn and_agent(prepare: impl FnOnce(), propagation: libc::c_ulong) -> Self {
        sandbox();
        mount("none", "/run", None, libc::MS_SHARED);
        make_dir(RUN_NETNS);
        prepare();
        let (sender, jobs) = channel::<(Job, Sender<()>)>();
        std::thread::spawn(move || {
            unshare(libc::CLONE_FS).unwrap();
            for (job, done) in jobs {
                job();
                done.send(()).unwrap();
            }
        });
        let host = Self(sender);
        // after its answer it keeps its mount namespace for good
        host.does(|| {});
        unshare(libc::CLONE_NEWNS).unwrap();
        mount("none", "/", None, libc::MS_REC | propagation);
        host
    }

    fn does(&self, job: impl FnOnce() + Send + 'static) {
        let (done, answer) = channel();
        self.0.send((Box::new(job), done)).unwrap();
        answer.recv().unwrap();
    }

    fn adds(&self, name: &'static str) {
        self.does(move || ip_netns(&["add", name]));
    }
}

/// Makes a name as container runtimes do: without a mount of the directory over itself.
fn bare_add(name: &str) {
    placeholder(format!("{RUN_NETNS}/{name}"));
    mount_new_netns(format!("{RUN_NETNS}/{name}"));
}

fn open<A: Api>(dir: &str) -> Observer<A> {
    Observer::open_synced(&How::dir(dir).flags(NSW_MOUNT_EVENTS))
}

fn a_slave_follows_the_host<A: Api>() {
    let host = Host::and_agent(|| ip_netns(&["add", "old"]), libc::MS_SLAVE);
    assert_eq!(propagation_of(RUN_NETNS), ["master"]);
    let mut o = open::<A>(RUN_NETNS);
    host.adds("blue");
    o.expect(&[(Created, "blue"), (Ready, "blue")]);
    assert_eq!(o.checker.believed(), kernel::names(RUN_NETNS));
    host.does(|| ip_netns(&["del", "blue"]));
    o.until(Deleted, "blue");
    host.does(|| unmount("/run/netns/old"));
    o.expect(&[(Detached, "old")]);
    o.expect_nothing();
}

/// `ip netns add` binds the directory over itself with all mounts below, and later mounts of the host reach both.
fn ip_netns_add_in_a_slave_hides_nothing<A: Api>() {
    let host = Host::and_agent(|| bare_add("old"), libc::MS_SLAVE);
    let mut o = open::<A>(RUN_NETNS);
    ip_netns(&["add", "late"]);
    o.until(Ready, "late");
    host.does(|| bare_add("blue"));
    o.until(Ready, "blue");
    o.drain();
    assert_eq!(o.checker.believed(), kernel::names(RUN_NETNS));
    assert!(kernel::names(RUN_NETNS).values().all(Option::is_some));
    // the host has the file too, but not the mount
    host.does(|| assert_eq!(Netns::for_name("late").unwrap_err().errno(), libc::ENODEV));
}

/// Without MS_REC, as in an old `ip netns add` or by hand.
fn a_bind_in_a_slave_hides_earlier_mounts<A: Api>() {
    let host = Host::and_agent(|| bare_add("old"), libc::MS_SLAVE);
    let mut o = open::<A>(RUN_NETNS);
    bind(RUN_NETNS, RUN_NETNS);
    o.expect(&[(Detached, "old")]);
    assert_eq!(Netns::for_name("old").unwrap_err().errno(), libc::ENODEV);
    host.does(|| bare_add("blue"));
    o.expect(&[(Created, "blue"), (Ready, "blue")]);
    assert_eq!(o.checker.believed(), kernel::names(RUN_NETNS));
    unmount(RUN_NETNS);
    o.until(Ready, "old");
    o.drain();
    assert_eq!(o.checker.believed(), kernel::names(RUN_NETNS));
}

/// The agent has a bind of the directory (HostToContainer); then the host's directory becomes a mount, which covers it.
fn the_first_ip_netns_add_comes_after_the_agent<A: Api>() {
    let host = Host::and_agent(|| bare_add("old"), libc::MS_SLAVE);
    let dir = make_dir("/run/agent/netns");
    mount(RUN_NETNS, &dir, None, libc::MS_BIND | libc::MS_REC);
    let dir = dir.to_str().unwrap();
    let mut o = open::<A>(dir);
    host.adds("blue");
    // the cover brings all mounts below along
    o.expect(&[(Created, "blue"), (Ready, "blue")]);
    host.does(|| bare_add("red"));
    o.expect(&[(Created, "red"), (Ready, "red")]);
    o.expect_nothing();
    assert_eq!(o.checker.believed(), kernel::names(dir));
    assert!(kernel::names(dir).values().all(Option::is_some));
    host.does(|| ip_netns(&["del", "blue"]));
    o.until(Deleted, "blue");
    o.drain();
    assert_eq!(o.checker.believed(), kernel::names(dir));
}

fn a_private_mount_namespace_never_has_a_ready<A: Api>() {
    let host = Host::and_agent(|| ip_netns(&["add", "old"]), libc::MS_PRIVATE);
    // an agent can notice this
    assert!(propagation_of(RUN_NETNS).is_empty());
    let mut o = open::<A>(RUN_NETNS);
    host.adds("blue");
    o.expect(&[(Created, "blue")]);
    assert_eq!(Netns::for_name("blue").unwrap_err().errno(), libc::ENODEV);
    // the earlier copies stay, whatever the host does
    host.does(|| unmount("/run/netns/old"));
    o.expect_nothing();
    assert_eq!(o.checker.believed(), kernel::names(RUN_NETNS));
    assert!(kernel::netns("/run/netns/old").is_some());
    host.does(|| ip_netns(&["del", "blue"]));
    o.expect(&[(Deleted, "blue")]);
    o.expect_nothing();
}

/// `shared`, `master` of the uppermost mount on the directory.
fn propagation_of(dir: &str) -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let mount = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some(dir)).expect("a mount");
    let optional = mount.split(' ').skip(6).take_while(|field| *field != "-");
    optional.map(|field| field.split(':').next().unwrap().to_owned()).collect()
}
