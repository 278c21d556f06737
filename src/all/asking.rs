//! Asking for each namespace by its cookie (Linux 6.18), which takes no privilege of its own.
//!
//! The kernel says of a dead namespace what it says of one that this process may not open. So a namespace is dead if it
//! cannot be opened, and could be before, by a process with the same rights. From Linux 6.19 on not even then: a socket may
//! keep it.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;

use super::deaths::Deaths;
use crate::netns::{Netns, of_calling_thread};
use crate::sys::{self, Credentials};

#[derive(Debug, Default)]
pub(super) struct Asking {
    /// Those that could be opened, by whom.
    reachable: BTreeMap<i32, (Netns, Credentials)>,
    last: i32,
}

impl Deaths for Asking {
    fn watch(&mut self, _namespace: BorrowedFd<'_>, netns: &Netns) -> io::Result<i32> {
        self.last += 1;
        // everybody may open the own one, as long as it is the own one
        let is_certain = sys::is_kernel_before(6, 19);
        let is_lasting = sys::sees_all_namespaces() || !of_calling_thread()?.same(netns);
        if is_certain && is_lasting && netns.open(None).is_ok() {
            self.reachable.insert(self.last, (*netns, Credentials::of_caller()?));
        }
        Ok(self.last)
    }

    fn read(&mut self, _take: &mut dyn FnMut(i32)) -> io::Result<bool> {
        Ok(false)
    }

    fn living(&mut self, numbers: &[i32]) -> io::Result<Vec<i32>> {
        let now = Credentials::of_caller()?;
        let is_dead = |(netns, before): &(Netns, Credentials)| {
            *before == now && netns.open(None).is_err_and(|error| matches!(error.errno(), libc::ENOENT | libc::EPERM))
        };
        let mut living = Vec::new();
        for number in numbers {
            match self.reachable.get(number) {
                Some(watched) if is_dead(watched) => {
                    self.reachable.remove(number);
                }
                _ => living.push(*number),
            }
        }
        Ok(living)
    }

    fn reports(&self) -> bool {
        false
    }

    fn is_own(&self, _netns: &Netns) -> bool {
        false
    }
}
