//! tokio, on its current_thread runtime.

use std::future::Future;
use std::os::unix::io::AsRawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll};

use assay_bench::harness::{add_sizes, row, run_program, Row, Run};
use assay_bench::support::*;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

include!("../workloads.rs");

#[derive(Clone)]
struct Runtime(Rc<tokio::runtime::Runtime>);
struct Handle(tokio::task::JoinHandle<u64>);

impl Future for Handle {
    type Output = u64;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u64> {
        Pin::new(&mut self.0).poll(context).map(|outcome| outcome.expect("no task panics"))
    }
}

// tokio's spawn asks for Send, also on the current_thread runtime; spawn_local would bring a second queue.
struct OneThread<F>(F);
// SAFETY: the runtime has one thread.
unsafe impl<F> Send for OneThread<F> {}
impl<F: Future> Future for OneThread<F> {
    type Output = F::Output;
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the field is pinned with its owner.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(context)
    }
}

impl Runtime {
    fn new() -> Runtime {
        Runtime(Rc::new(tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")))
    }
    fn spawn<F: Future<Output = u64> + 'static>(&self, future: F) -> Handle {
        Handle(tokio::spawn(OneThread(future)))
    }
    fn main<F: Future<Output = u64> + 'static>(&self, future: F) {
        let mine = self.clone();
        self.block_on(async move { mine.spawn(future).await });
    }
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }
}
fn detach(handle: Handle) {
    drop(handle);
}

fn channel(run: &'static mut Run, capacity: u64) {
    let runtime = Runtime::new();
    let inside = runtime.clone();
    runtime.main(async move {
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<u64>(capacity as usize);
        let count = run.operations;
        let mut sum = 0;
        run.start();
        detach(inside.spawn(async move {
            for i in 0..count {
                sender.send(i).await.expect("the receiver is there");
            }
            0
        }));
        for _ in 0..count {
            sum += receiver.recv().await.expect("the sender is there");
        }
        run.stop();
        sum
    });
}

fn select_2(run: &'static mut Run, _: u64) {
    Runtime::new().main(async move {
        let mut sum = 0;
        run.start();
        for _ in 0..run.operations {
            sum += tokio::select! {
                _ = forever() => 0,
                _ = yield_now() => 1,
            };
        }
        run.stop();
        sum
    });
}

fn select_64(run: &'static mut Run, _: u64) {
    Runtime::new().main(async move {
        let mut sum = 0;
        run.start();
        for _ in 0..run.operations {
            sum += tokio::select! {
                _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0,
                _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0,
                _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0,
                _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0,
                _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0,
                _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0,
                _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0,
                _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0,
                _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0,
                _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0,
                _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0,
                _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0, _ = forever() => 0,
                _ = forever() => 0, _ = forever() => 0, _ = forever() => 0,
                _ = yield_now() => 1,
            };
        }
        run.stop();
        sum
    });
}

fn arm_and_cancel(run: &'static mut Run, outstanding: u64, read_clock: bool) {
    Runtime::new().main(PollFn(move |context: &mut Context<'_>| {
        let mut random = Random(1);
        let now = tokio::time::Instant::now();
        let mut others = vec![];
        for _ in 0..outstanding {
            let mut timer = Box::pin(tokio::time::sleep_until(now + random.far_delay()));
            assert!(timer.as_mut().poll(context).is_pending());
            others.push(timer);
        }
        let delays = far_delays();
        run.start();
        for i in 0..run.operations {
            let delay = delays[i as usize % FAR_DELAYS];
            let timer = if read_clock { tokio::time::sleep(delay) } else { tokio::time::sleep_until(now + delay) };
            tokio::pin!(timer);
            assert!(timer.poll(context).is_pending());
        }
        run.stop();
        Poll::Ready(0)
    }));
}
fn timer(run: &'static mut Run, outstanding: u64) {
    arm_and_cancel(run, outstanding, false)
}
fn timer_clock(run: &'static mut Run, outstanding: u64) {
    arm_and_cancel(run, outstanding, true)
}

fn timers_fired(run: &'static mut Run, _: u64) {
    let runtime = Runtime::new();
    let inside = runtime.clone();
    runtime.main(async move {
        let mut random = Random(1);
        let left = Rc::new(std::cell::Cell::new(run.operations));
        let done = Rc::new(tokio::sync::Notify::new());
        let start = fire_start(run);
        for _ in 0..run.operations {
            let deadline = start + std::time::Duration::from_nanos(random.next() % FIRE_WINDOW_NS);
            let (left, done) = (left.clone(), done.clone());
            detach(inside.spawn(async move {
                tokio::time::sleep_until(deadline.into()).await;
                left.set(left.get() - 1);
                if left.get() == 0 {
                    done.notify_one();
                }
                0
            }));
        }
        yield_now().await; // all are armed
        sleep_until_all_due(start);
        run.start();
        done.notified().await;
        run.stop();
        0
    });
}

fn echo(run: &'static mut Run, connections: u64) {
    let (listener, port) = listen_on_any_port();
    let client = EchoClient::new(port, connections, run);
    let runtime = Runtime::new();
    let inside = runtime.clone();
    run.start_counting();
    runtime.main(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        let mut clients = vec![];
        for _ in 0..connections {
            let (mut socket, _) = listener.accept().await.expect("accept");
            clients.push(inside.spawn(async move {
                let mut buffer = [0u8; ECHO_BUFFER_BYTES];
                loop {
                    let got = socket.read(&mut buffer).await.expect("read");
                    if got == 0 {
                        return 0;
                    }
                    socket.write_all(&buffer[..got]).await.expect("write");
                }
            }));
        }
        for client in clients {
            client.await;
        }
        run.stop_counting();
        run.add_nanoseconds(client.nanoseconds());
        0
    });
}

fn fd_wait(run: &'static mut Run, idle: u64) {
    let runtime = Runtime::new();
    let inside = runtime.clone();
    runtime.main(async move {
        for fd in idle_fds(idle) {
            detach(inside.spawn(async move {
                let fd = AsyncFd::new(fd).expect("epoll_ctl");
                let _ = fd.readable().await.expect("readable");
                0
            }));
        }
        yield_now().await;
        let bell = AsyncFd::new(make_eventfd()).expect("epoll_ctl");
        run.start();
        for _ in 0..run.operations {
            raise(bell.get_ref().as_raw_fd());
            let mut guard = bell.readable().await.expect("readable");
            lower(bell.get_ref().as_raw_fd());
            guard.clear_ready();
        }
        run.stop();
        0
    });
}

fn memory_connection(run: &'static mut Run, _: u64) {
    let pairs = socket_pairs(run.operations);
    let mut others = Vec::with_capacity(pairs.len());
    run.start_counting();
    let runtime = Runtime::new();
    let inside = runtime.clone();
    runtime.main(async move {
        for (one, other) in pairs {
            others.push(other);
            detach(inside.spawn(async move {
                let socket = tokio::net::UnixStream::from_std(one).expect("epoll_ctl");
                socket.readable().await.expect("readable");
                0
            }));
        }
        yield_now().await;
        run.stop_counting();
        0
    });
}

fn memory_timer(run: &'static mut Run, _: u64) {
    run.start_counting();
    let runtime = Runtime::new();
    let inside = runtime.clone();
    runtime.main(async move {
        let mut random = Random(1);
        for _ in 0..run.operations {
            let delay = random.far_delay();
            detach(inside.spawn(async move {
                tokio::time::sleep(delay).await;
                0
            }));
        }
        yield_now().await;
        run.stop_counting();
        0
    });
}

fn main() {
    let mut rows = common_rows();
    rows.extend([
        row("channel/64", channel, 64, 1),
        row("select/2", select_2, 0, 1),
        row("select/64", select_64, 0, 1),
        row("timer/0", timer, 0, 1),
        row("timer_clock/0", timer_clock, 0, 1),
        row("timer_clock/100000", timer_clock, 100_000, 1),
        row("timers_fired", timers_fired, 0, 1000),
        row("echo/1", echo, 1, 1),
        row("echo/100", echo, 100, 1),
        row("fd_wait/10000", fd_wait, 10_000, 1),
        row("memory_connection", memory_connection, 0, 1),
        row("memory_timer", memory_timer, 0, 1),
    ]);
    add_sizes(&mut rows, "timer", timer, 0);
    add_sizes(&mut rows, "channel", channel, 0);
    run_program("tokio", &rows);
}
