// The rows that need nothing but an executor: included by each contender, which defines before
//   Runtime: Clone + 'static, with
//     fn new() -> Runtime
//     fn spawn<F: Future<Output = u64> + 'static>(&self, future: F) -> Handle    Handle: Future<Output = u64>
//     fn main<F: Future<Output = u64> + 'static>(&self, future: F)               runs it, as a task, to its end
//     fn block_on<F: Future>(&self, future: F) -> F::Output
//   fn detach(Handle)
// Everything runs on one thread; `run` is lent to the one task that measures.

async fn ready_child() -> u64 {
    1
}

fn block_on_ready(run: &'static mut Run, _: u64) {
    let runtime = Runtime::new();
    let mut sum = 0;
    run.start();
    for _ in 0..run.operations {
        sum += runtime.block_on(std::future::ready(1u64));
    }
    run.stop();
    keep(sum);
}

fn spawn_join(run: &'static mut Run, at_once: u64) {
    let runtime = Runtime::new();
    let inside = runtime.clone();
    runtime.main(async move {
        let mut handles = Vec::with_capacity(at_once as usize);
        let mut sum = 0;
        run.start();
        for _ in 0..run.operations / at_once {
            for _ in 0..at_once {
                handles.push(inside.spawn(ready_child()));
            }
            for handle in handles.drain(..) {
                sum += handle.await;
            }
        }
        run.stop();
        sum
    });
}

async fn yielder(count: u64) -> u64 {
    for _ in 0..count {
        yield_now().await;
    }
    0
}
fn yield_rows(run: &'static mut Run, tasks: u64) {
    let runtime = Runtime::new();
    let inside = runtime.clone();
    runtime.main(async move {
        let mut handles = Vec::with_capacity(tasks as usize);
        for _ in 0..tasks {
            handles.push(inside.spawn(yielder(run.operations / tasks)));
        }
        yield_now().await; // all have begun
        run.start();
        for handle in handles.drain(..) {
            handle.await;
        }
        run.stop();
        0
    });
}

// A recursive async fn is boxed at each level: that is what Rust programs do.
fn at_depth(depth: u64, count: u64) -> Pin<Box<dyn Future<Output = u64>>> {
    Box::pin(async move {
        if depth > 1 {
            at_depth(depth - 1, count).await
        } else {
            yielder(count).await
        }
    })
}
fn yield_depth(run: &'static mut Run, depth: u64) {
    let runtime = Runtime::new();
    runtime.main(async move {
        run.start();
        if depth == 1 {
            yielder(run.operations).await;
        } else {
            at_depth(depth - 1, run.operations).await;
        }
        run.stop();
        0
    });
}

fn ping_pong(run: &'static mut Run, _: u64) {
    let runtime = Runtime::new();
    let inside = runtime.clone();
    runtime.main(async move {
        let table = SharedTable::default();
        run.start();
        let first = inside.spawn(player(table.clone(), 0, run.operations));
        let second = inside.spawn(player(table.clone(), 1, run.operations));
        first.await;
        second.await;
        run.stop();
        0
    });
}

// Boxed, since the compiler would otherwise do away with the child, as it never can in C++.
fn boxed_child() -> Pin<Box<dyn Future<Output = u64>>> {
    Box::pin(ready_child())
}
fn await_child(run: &'static mut Run, _: u64) {
    let runtime = Runtime::new();
    runtime.main(async move {
        let mut sum = 0;
        run.start();
        for _ in 0..run.operations {
            sum += keep(boxed_child()).await;
        }
        run.stop();
        sum
    });
}

fn recurse(depth: u64) -> Pin<Box<dyn Future<Output = u64>>> {
    Box::pin(async move {
        if depth <= 1 {
            1
        } else {
            1 + recurse(depth - 1).await
        }
    })
}
fn recursion(run: &'static mut Run, depth: u64) {
    let runtime = Runtime::new();
    runtime.main(async move {
        let mut sum = 0;
        run.start();
        for _ in 0..run.operations / depth {
            sum += recurse(depth).await;
        }
        run.stop();
        sum
    });
}

async fn answer_all(mailbox: Arc<Mailbox>, count: u64) -> u64 {
    for _ in 0..count {
        Answer(&mailbox).await;
    }
    0
}
fn wake_parked(run: &'static mut Run, _: u64) {
    let mailbox = Arc::new(Mailbox::new());
    let (count, slowdown) = (run.operations, run.slowdown);
    let theirs = mailbox.clone();
    let other = std::thread::spawn(move || theirs.request_parked(count, slowdown));
    let runtime = Runtime::new();
    runtime.main(answer_all(mailbox.clone(), count));
    other.join().expect("the thread ends");
    mailbox.drop_waker();
    run.add_nanoseconds(mailbox.total_ns());
}

fn wake_busy(run: &'static mut Run, _: u64) {
    let mailbox = Arc::new(Mailbox::new());
    let done = Arc::new(AtomicBool::new(false));
    let (theirs, their_done, count) = (mailbox.clone(), done.clone(), run.operations);
    let other = std::thread::spawn(move || {
        let waker = theirs.waker();
        run.start();
        for i in 1..=count {
            theirs.request(i, &waker);
        }
        run.stop();
        their_done.store(true, Ordering::Release);
    });
    let runtime = Runtime::new();
    let inside = runtime.clone();
    let ours = mailbox.clone();
    runtime.main(async move {
        let task = inside.spawn(answer_all(ours, count));
        while !done.load(Ordering::Acquire) {
            yield_now().await;
        }
        task.await
    });
    other.join().expect("the thread ends");
    mailbox.drop_waker();
}

fn wake_redundant(run: &'static mut Run, _: u64) {
    let runtime = Runtime::new();
    let inside = runtime.clone();
    runtime.main(async move {
        let mailbox = Arc::new(Mailbox::new());
        detach(inside.spawn(answer_all(mailbox.clone(), 1)));
        yield_now().await;
        let waker = mailbox.waker();
        let other = std::thread::spawn(move || {
            waker.wake_by_ref();
            run.start();
            for _ in 0..run.operations {
                waker.wake_by_ref();
            }
            run.stop();
        });
        other.join().expect("the thread ends"); // holds the executor up
        mailbox.drop_waker();
        0
    });
}

fn memory_task(run: &'static mut Run, _: u64) {
    run.start_counting();
    let runtime = Runtime::new();
    let inside = runtime.clone();
    runtime.main(async move {
        for _ in 0..run.operations {
            detach(inside.spawn(forever()));
        }
        yield_now().await;
        run.stop_counting();
        0
    });
}

fn start_teardown(run: &'static mut Run, _: u64) {
    let run: *mut Run = run;
    // SAFETY: `run` outlives this function, and is used in turns.
    let run = || unsafe { &mut *run };
    run().start();
    {
        let runtime = Runtime::new();
        let inside = runtime.clone();
        let count = run().operations;
        runtime.main(async move {
            for _ in 0..count {
                detach(inside.spawn(forever()));
            }
            yield_now().await;
            0
        });
    }
    run().stop();
}

fn common_rows() -> Vec<Row> {
    let mut rows = vec![
        row("block_on_ready", block_on_ready, 0, 1),
        row("spawn_join/1", spawn_join, 1, 1),
        row("yield/1", yield_rows, 1, 1),
        row("yield_depth/1", yield_depth, 1, 1),
        row("yield_depth/10", yield_depth, 10, 1),
        row("yield_depth/100", yield_depth, 100, 1),
        row("yield_depth/1000", yield_depth, 1000, 1),
        row("ping_pong", ping_pong, 0, 1),
        row("await_child", await_child, 0, 1),
        row("recursion/1000", recursion, 1000, 1000),
        row("wake_parked", wake_parked, 0, 1),
        row("wake_busy", wake_busy, 0, 1),
        row("wake_redundant", wake_redundant, 0, 1),
        row("memory_task", memory_task, 0, 1),
        row("start_teardown", start_teardown, 0, 1),
    ];
    add_sizes(&mut rows, "spawn_join", spawn_join, 1);
    add_sizes(&mut rows, "yield", yield_rows, 4);
    rows
}
