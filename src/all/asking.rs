//! Deaths by asking for each namespace by its cookie (Linux 6.18), which requires no privilege.
//!
//! The kernel returns the same error for a dead namespace and for one that this process may not open. So a namespace
//! counts as dead if it cannot be opened now and could be before, with the same rights. From Linux 6.19 on, not even
//! then: a socket may keep it.

use std::io;
use std::os::fd::BorrowedFd;

use super::deaths::Deaths;
use crate::error::{errno_of, is_shortage};
use crate::netns::{Netns, of_calling_thread};
use crate::sys::{self, Credentials};

#[derive(Debug, Default)]
pub(super) struct Asking {
    /// The namespaces that could be opened.
    reachable: Vec<Reachable>,
    last: i32,
}

#[derive(Debug)]
struct Reachable {
    number: i32,
    netns: Netns,
    by: Credentials,
}

impl Asking {
    fn find(&self, number: i32) -> Option<&Reachable> {
        self.reachable.iter().find(|reachable| reachable.number == number)
    }
}

/// Whether a namespace can be opened by its cookie: the kernel's answer; `None`: no answer.
fn opens(netns: &Netns) -> io::Result<Option<bool>> {
    let (Some(cookie), Ok(ino)) = (netns.cookie(), u32::try_from(netns.ino())) else { return Ok(None) };
    match sys::open_by_cookie(cookie, ino) {
        Ok(_) => Ok(Some(true)),
        Err(error) if is_shortage(&error) => Err(error),
        // a filter refuses with other numbers
        Err(error) => Ok((errno_of(&error) == libc::ESTALE).then_some(false)),
    }
}

impl Deaths for Asking {
    fn watch(&mut self, _namespace: BorrowedFd<'_>, netns: &Netns) -> io::Result<i32> {
        // everybody may open the own namespace, while it is the own one
        let is_certain = sys::is_kernel_before(6, 19);
        let is_lasting = sys::sees_all_namespaces() || !of_calling_thread()?.same(netns);
        let reached = is_certain && is_lasting && opens(netns)? == Some(true);
        let by = Credentials::of_caller()?;
        if let Some(known) = self.reachable.iter_mut().find(|known| known.netns == *netns) {
            if reached {
                known.by = by;
            }
            return Ok(known.number);
        }
        self.last += 1;
        if reached {
            self.reachable.push(Reachable { number: self.last, netns: *netns, by });
        }
        Ok(self.last)
    }

    fn read(&mut self, _take: &mut dyn FnMut(i32)) -> io::Result<bool> {
        Ok(false)
    }

    fn living(&mut self, numbers: &[i32]) -> io::Result<Vec<i32>> {
        let now = Credentials::of_caller()?;
        let mut living = Vec::new();
        for number in numbers {
            match self.find(*number) {
                Some(Reachable { netns, by, .. }) if *by == now && opens(netns)? == Some(false) => {}
                _ => living.push(*number),
            }
        }
        Ok(living)
    }

    fn watches(&self, number: i32) -> bool {
        self.find(number).is_some()
    }

    fn forget(&mut self, number: i32) {
        self.reachable.retain(|reachable| reachable.number != number);
    }

    fn reports(&self) -> bool {
        false
    }

    fn is_own(&self, _netns: &Netns) -> bool {
        false
    }
}
