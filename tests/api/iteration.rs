//! A watcher as an iterator: it returns the error that is the end, and ends.

use crate::support::thread::{Restriction, elsewhere};
use crate::support::*;
use nswatch::{EventKind, Options, Policy, Watcher};

#[test]
fn it_ends_after_the_final_error() {
    for options in [Options::new(), Options::new().queue(10, Policy::DropOldest).unwrap()] {
        sandbox();
        ip_netns(&["add", "blue"]);
        ip_netns(&["del", "blue"]);
        unmount(RUN_NETNS);
        let mut watcher = Watcher::named(&options.parent(false)).unwrap();
        assert_eq!(watcher.next().unwrap().unwrap().to_string(), "synced");
        std::fs::remove_dir(RUN_NETNS).unwrap();
        assert_eq!(*watcher.next().unwrap().unwrap().kind(), EventKind::DirDeleted);
        let error = watcher.next().unwrap().unwrap_err();
        assert_eq!((error.errno(), error.is_final()), (libc::ENOENT, true));
        assert!(watcher.next().is_none());
        assert!(watcher.next().is_none());
        // direct calls still return an error
        assert!(watcher.next_event().unwrap_err().is_final());
        assert!(watcher.resync().unwrap_err().is_final());
    }
}

#[test]
fn it_goes_on_after_another_error() {
    sandbox();
    make_dir(RUN_NETNS);
    let mut watcher = Watcher::named(&Options::new()).unwrap();
    assert_eq!(watcher.next().unwrap().unwrap().to_string(), "synced");
    rename(RUN_NETNS, "/run/away");
    rename("/run/away", RUN_NETNS);
    elsewhere(&Restriction::none().failing(libc::SYS_openat, libc::EMFILE), || {
        for _ in 0..3 {
            assert!(!watcher.next().unwrap().unwrap_err().is_final());
        }
    });
    placeholder("/run/netns/blue");
    assert_eq!(watcher.next().unwrap().unwrap().to_string(), "created blue");
}

#[test]
#[cfg(feature = "panic-on-demand")]
fn it_ends_after_a_panic_of_its_thread() {
    sandbox();
    make_dir(RUN_NETNS);
    let mut watcher = Watcher::named(&Options::new().queue(10, Policy::Block).unwrap()).unwrap();
    assert_eq!(watcher.next().unwrap().unwrap().to_string(), "synced");
    placeholder("/run/netns/nswatch-panic");
    let error = watcher.next().unwrap().unwrap_err();
    assert_eq!((error.errno(), error.is_final()), (libc::ENOTRECOVERABLE, true));
    assert!(watcher.next().is_none());
}
