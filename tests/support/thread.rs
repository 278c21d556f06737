//! Threads with fewer rights than the test: what a thread may not do says nothing about the threads beside it, so a
//! fault strikes the library alone, and one watcher can be used with and without it.

/// Lets a value that only one thread uses at a time go to another one.
struct Lent<T>(T);

// SAFETY: `elsewhere` waits for the thread that it lends to, so that no two threads use the value at once; what is
// tested here says of itself that it may move between threads.
unsafe impl<T> Send for Lent<T> {}

impl<T> Lent<T> {
    fn take(self) -> T {
        self.0
    }
}

/// Runs `body` in a thread of its own that first gives up rights, and waits for it.
pub fn elsewhere<T>(restriction: &Restriction, body: impl FnOnce() -> T) -> T {
    let body = Lent(body);
    let result = std::thread::scope(|scope| {
        scope
            .spawn(move || {
                let body = body.take();
                restriction.apply();
                Lent(body())
            })
            .join()
    });
    match result {
        Ok(result) => result.take(),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// What a thread gives up.
#[derive(Debug, Clone, Default)]
pub struct Restriction {
    /// Bits of capabilities 0-31 and 32-63.
    capabilities: [u32; 2],
    /// System calls that fail, each with an errno; of ioctl(2) perhaps only one request.
    failing: Vec<(libc::c_long, Option<u32>, i32)>,
}

impl Restriction {
    /// Nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// The effective CAP_SYS_ADMIN, with which fanotify tells of mounts.
    pub fn without_sys_admin() -> Self {
        Self { capabilities: [1 << 21, 0], ..Self::default() }
    }

    /// All effective capabilities: permissions of files count, root or not.
    pub fn powerless() -> Self {
        Self { capabilities: [!0, !0], ..Self::default() }
    }

    /// A system call that fails.
    pub fn failing(mut self, call: libc::c_long, errno: i32) -> Self {
        self.failing.push((call, None, errno));
        self
    }

    /// A request of ioctl(2) that fails.
    pub fn failing_ioctl(mut self, request: u32, errno: i32) -> Self {
        self.failing.push((libc::SYS_ioctl, Some(request), errno));
        self
    }

    fn apply(&self) {
        if self.capabilities != [0, 0] {
            drop_capabilities(self.capabilities);
        }
        if !self.failing.is_empty() {
            filter(&self.failing);
        }
    }
}

fn drop_capabilities(dropped: [u32; 2]) {
    const VERSION_3: u32 = 0x2008_0522;
    let mut header = [VERSION_3, 0];
    // effective, permitted, inheritable, of the capabilities 0-31 and 32-63
    let mut sets = [[0u32; 3]; 2];
    // SAFETY: version 3 has a header of two and data of twice three numbers of 32 bits; pid 0 is this thread.
    let rc = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) };
    assert_eq!(rc, 0, "capget: {}", std::io::Error::last_os_error());
    sets[0][0] &= !dropped[0];
    sets[1][0] &= !dropped[1];
    // SAFETY: as above.
    let rc = unsafe { libc::syscall(libc::SYS_capset, header.as_mut_ptr(), sets.as_ptr()) };
    assert_eq!(rc, 0, "capset: {}", std::io::Error::last_os_error());
}

/// Lets system calls of this thread fail, for the rest of its life.
fn filter(failing: &[(libc::c_long, Option<u32>, i32)]) {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    // skips so many if not equal
    let unless = |k: u32, jf: u8| {
        let code = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        libc::sock_filter { code: code as u16, jt: 0, jf, k }
    };
    // struct seccomp_data: the number of the system call, …, from 16 on the arguments, 64 bits each
    let load = |at: u32| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at);
    let low_half_of_second_argument = 24 + if cfg!(target_endian = "big") { 4 } else { 0 };
    let mut program = Vec::new();
    for &(call, request, errno) in failing {
        program.push(load(0));
        program.push(unless(call as u32, if request.is_some() { 3 } else { 1 }));
        if let Some(request) = request {
            program.push(load(low_half_of_second_argument));
            program.push(unless(request, 1));
        }
        program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno as u32));
    }
    program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: no pointers but that to the program, which the kernel copies.
    let rc = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) | libc::prctl(libc::PR_SET_SECCOMP, 2, &raw const program)
    };
    assert_eq!(rc, 0, "seccomp: {}", std::io::Error::last_os_error());
}
