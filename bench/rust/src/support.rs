//! The twin of bench/support.hpp: fds, the echo client, pseudo-random deadlines, a second thread; and small futures.

use std::cell::UnsafeCell;
use std::future::Future;
use std::io::Read;
use std::os::unix::io::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::harness::{pin, skip, Run, Side};

pub const ECHO_BUFFER_BYTES: usize = 4096;

// ---- Fds -----------------------------------------------------------------------------------------------------------

pub struct Fd(RawFd);
impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}
impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: it is ours.
        unsafe { libc::close(self.0) };
    }
}

pub fn make_eventfd() -> Fd {
    // SAFETY: no pointers.
    let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
    assert!(fd >= 0, "eventfd: {}", std::io::Error::last_os_error());
    Fd(fd)
}
pub fn raise(fd: RawFd) {
    let one = 1u64;
    // SAFETY: eight bytes, as an eventfd takes them.
    assert_eq!(unsafe { libc::write(fd, (&one as *const u64).cast(), 8) }, 8, "write to an eventfd");
}
pub fn lower(fd: RawFd) -> bool {
    let mut value = 0u64;
    // SAFETY: eight bytes, as an eventfd gives them.
    unsafe { libc::read(fd, (&mut value as *mut u64).cast(), 8) == 8 }
}

pub fn need_fds(count: u64) {
    let wanted = count + 64;
    // SAFETY: plain data.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        if limit.rlim_cur >= wanted {
            return;
        }
        limit.rlim_cur = wanted;
        limit.rlim_max = limit.rlim_max.max(wanted);
        if libc::setrlimit(libc::RLIMIT_NOFILE, &limit) != 0 {
            skip(&format!("RLIMIT_NOFILE of {wanted} is not allowed here"));
        }
    }
}
pub fn idle_fds(count: u64) -> Vec<Fd> {
    need_fds(count);
    (0..count).map(|_| make_eventfd()).collect()
}
pub fn socket_pairs(count: u64) -> Vec<(UnixStream, UnixStream)> {
    need_fds(2 * count);
    let pair = |_| {
        let (one, other) = UnixStream::pair().expect("socketpair");
        one.set_nonblocking(true).expect("O_NONBLOCK");
        (one, other)
    };
    (0..count).map(pair).collect()
}

// ---- Echo ----------------------------------------------------------------------------------------------------------

pub fn listen_on_any_port() -> (std::net::TcpListener, u16) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("listen");
    listener.set_nonblocking(true).expect("O_NONBLOCK");
    let port = listener.local_addr().expect("getsockname").port();
    (listener, port)
}

pub struct EchoClient(Child);
impl EchoClient {
    /// build/bench/bench/bench_echo_client; this program is build/bench/rust/release/bench_*.
    pub fn new(port: u16, connections: u64, run: &Run) -> EchoClient {
        let own = std::env::current_exe().expect("/proc/self/exe");
        let program = own.ancestors().nth(3).expect("build/bench").join("bench/bench_echo_client");
        let pause = if run.slowdown > 1.0 { 500 } else { 0 };
        let words = [port.to_string(), connections.to_string(), run.operations.to_string(), pause.to_string()];
        pin(Side::Counterpart); // the client inherits it
        let client = Command::new(program).args(words).stdout(Stdio::piped()).spawn();
        pin(Side::Runtime);
        EchoClient(client.expect("bench_echo_client starts"))
    }
    pub fn nanoseconds(mut self) -> u64 {
        let mut text = String::new();
        self.0.stdout.take().expect("piped").read_to_string(&mut text).expect("it prints text");
        assert!(self.0.wait().expect("it ends").success(), "bench_echo_client failed");
        text.trim().parse().expect("it prints a number")
    }
}

// ---- Time ----------------------------------------------------------------------------------------------------------

/// splitmix64, as the C++ contenders.
pub struct Random(pub u64);
impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e3779b97f4a7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58476d1ce4e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d049bb133111eb);
        mixed ^ (mixed >> 31)
    }
    pub fn far_delay(&mut self) -> Duration {
        Duration::from_nanos(60_000_000_000 + self.next() % 3_540_000_000_000)
    }
}
pub const FAR_DELAYS: usize = 1024;
pub fn far_delays() -> Vec<Duration> {
    let mut random = Random(42);
    (0..FAR_DELAYS).map(|_| random.far_delay()).collect()
}

pub const FIRE_WINDOW_NS: u64 = 1_000_000;
pub fn fire_start(run: &Run) -> Instant {
    Instant::now() + Duration::from_nanos(20_000_000 + (run.operations as f64 * 5000.0 * run.slowdown) as u64)
}
pub fn sleep_until_all_due(start: Instant) {
    assert!(Instant::now() < start, "timers were due before all were armed: this machine is too busy");
    let until = start + Duration::from_nanos(FIRE_WINDOW_NS + 2_000_000);
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        std::thread::sleep(left);
    }
}

// ---- Rows with a second thread ---------------------------------------------------------------------------------------

#[repr(align(64))]
struct Line(AtomicU64);

/// As bench::Handshake and Mailbox.
pub struct Mailbox {
    requested: Line,
    answered: Line,
    sent_at: Line,
    total_ns: AtomicU64,
    epoch: Instant,
    waker: Mutex<Option<Waker>>,
    has_waker: AtomicBool,
}
impl Mailbox {
    pub fn new() -> Mailbox {
        let line = || Line(AtomicU64::new(0));
        Mailbox {
            requested: line(),
            answered: line(),
            sent_at: line(),
            total_ns: AtomicU64::new(0),
            epoch: Instant::now(),
            waker: Mutex::new(None),
            has_waker: AtomicBool::new(false),
        }
    }
    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }
    /// The task's.
    pub fn total_ns(&self) -> u64 {
        self.total_ns.load(Ordering::Relaxed)
    }
    fn answer(&self) -> bool {
        let request = self.requested.0.load(Ordering::Acquire);
        if request == self.answered.0.load(Ordering::Relaxed) {
            return false;
        }
        let took = self.now() - self.sent_at.0.load(Ordering::Relaxed);
        self.total_ns.store(self.total_ns() + took, Ordering::Relaxed);
        self.answered.0.store(request, Ordering::Release);
        true
    }
    /// The thread's: waits for the task's waker, which stays the same.
    pub fn waker(&self) -> Waker {
        while !self.has_waker.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        self.waker.lock().unwrap().clone().expect("it is there")
    }
    pub fn drop_waker(&self) {
        *self.waker.lock().unwrap() = None;
    }
    pub fn request(&self, number: u64, waker: &Waker) {
        if number == 1 {
            pin(Side::Counterpart);
        }
        self.sent_at.0.store(self.now(), Ordering::Relaxed);
        self.requested.0.store(number, Ordering::Release);
        waker.wake_by_ref();
        while self.answered.0.load(Ordering::Acquire) != number {}
    }
    pub fn request_parked(&self, count: u64, slowdown: f64) {
        let waker = self.waker();
        let pause = Duration::from_nanos((100_000.0 * slowdown) as u64);
        for i in 1..=count {
            std::thread::sleep(pause);
            self.request(i, &waker);
        }
    }
}
impl Default for Mailbox {
    fn default() -> Self {
        Self::new()
    }
}
/// Ready at each request that it has answered.
pub struct Answer<'a>(pub &'a Mailbox);
impl Future for Answer<'_> {
    type Output = ();
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if !self.0.has_waker.load(Ordering::Relaxed) {
            *self.0.waker.lock().unwrap() = Some(context.waker().clone());
            self.0.has_waker.store(true, Ordering::Release);
        }
        if self.0.answer() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

// ---- Futures -------------------------------------------------------------------------------------------------------

/// A future that is a function. (std has one from Rust 1.64 on.)
pub struct PollFn<F>(pub F);
impl<T, F: FnMut(&mut Context<'_>) -> Poll<T> + Unpin> Future for PollFn<F> {
    type Output = T;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        (self.0)(context)
    }
}

/// Never ready; keeps the waker.
#[derive(Default)]
pub struct Forever(Option<Waker>);
impl Future for Forever {
    type Output = u64;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u64> {
        match &self.0 {
            Some(waker) if waker.will_wake(context.waker()) => {}
            _ => self.0 = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}
pub fn forever() -> Forever {
    Forever::default()
}

/// Lets other tasks run first, by waking itself: what assay's does. (tokio's own also looks at timers and fds each time, and
/// takes ten times as long for it; smol's own is this.)
pub struct YieldNow(bool);
impl Future for YieldNow {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
pub fn yield_now() -> YieldNow {
    YieldNow(false)
}

/// Whose turn it is, and who waits for it. On one thread.
#[derive(Default)]
pub struct Table {
    pub turn: usize,
    pub waker: [Option<Waker>; 2],
}
pub type SharedTable = Rc<UnsafeCell<Table>>;

pub struct MyTurn<'a>(pub &'a SharedTable, pub usize);
impl Future for MyTurn<'_> {
    type Output = ();
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // SAFETY: one thread, and no reference is kept between calls.
        let table = unsafe { &mut *self.0.get() };
        if table.turn == self.1 {
            return Poll::Ready(());
        }
        match &table.waker[self.1] {
            Some(waker) if waker.will_wake(context.waker()) => {}
            _ => table.waker[self.1] = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}
pub async fn player(table: SharedTable, me: usize, rounds: u64) -> u64 {
    for _ in 0..rounds {
        MyTurn(&table, me).await;
        // SAFETY: as above.
        let state = unsafe { &mut *table.get() };
        state.turn = 1 - me;
        if let Some(waker) = &state.waker[1 - me] {
            waker.wake_by_ref();
        }
    }
    0
}

/// The compiler must assume that `value` is used. (std has black_box from Rust 1.66 on.)
pub fn keep<T>(value: T) -> T {
    // SAFETY: a move, by hand.
    unsafe {
        let copy = std::ptr::read_volatile(&value);
        std::mem::forget(value);
        copy
    }
}
