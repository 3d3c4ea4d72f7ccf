//! The command line and the output of bench/harness.hpp, for the Rust contenders.

use std::ffi::CStr;
use std::mem::transmute;
use std::sync::Mutex;
use std::time::Instant;

/// What the program takes from malloc, as bench/allocations.hpp: counted where libbench_allocations.so is preloaded.
struct Allocations {
    count: Option<extern "C" fn(bool)>,
    totals: Option<extern "C" fn(*mut i64, *mut i64)>,
}

impl Allocations {
    fn find() -> Allocations {
        let symbol = |name: &[u8]| {
            let name = CStr::from_bytes_with_nul(name).expect("it ends with 0");
            // SAFETY: looks for a name among the libraries of this program.
            unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
        };
        // SAFETY: the functions of bench/allocations.cpp have these types; null is None.
        unsafe {
            Allocations {
                count: transmute(symbol(b"assay_bench_count_allocations\0")),
                totals: transmute(symbol(b"assay_bench_allocation_totals\0")),
            }
        }
    }
    fn set_counting(&self, on: bool) {
        match self.count {
            Some(count) => count(on),
            None => assert!(!on, "--count needs LD_PRELOAD=libbench_allocations.so"),
        }
    }
    fn totals(&self) -> (i64, i64) {
        let mut totals = (0, 0);
        if let Some(read) = self.totals {
            read(&mut totals.0, &mut totals.1);
        }
        totals
    }
}

/// One repetition of one row, as its body sees it. Shared by threads in turns.
pub struct Run {
    pub operations: u64,
    pub slowdown: f64,
    found: Allocations,
    begin: Option<Instant>,
    before: (i64, i64),
    ns: u64,
    allocations: i64,
    bytes: i64,
}

impl Run {
    pub fn start_counting(&mut self) {
        self.before = self.found.totals();
    }
    pub fn stop_counting(&mut self) {
        let after = self.found.totals();
        self.allocations += after.0 - self.before.0;
        self.bytes += after.1 - self.before.1;
    }
    pub fn start(&mut self) {
        self.start_counting();
        self.begin = Some(Instant::now());
    }
    pub fn stop(&mut self) {
        self.ns += self.begin.take().expect("start comes first").elapsed().as_nanos() as u64;
        self.stop_counting();
    }
    pub fn add_nanoseconds(&mut self, ns: u64) {
        self.ns += ns;
    }
}

/// A row: `Ok` with its body, step and parameter, or `Err` with the reason why it is left out.
pub type Body = fn(&'static mut Run, u64);
pub struct Row {
    pub name: String,
    pub body: Result<Body, &'static str>,
    pub parameter: u64,
    pub step: u64,
}

pub fn row(name: &str, body: Body, parameter: u64, step: u64) -> Row {
    Row { name: name.to_string(), body: Ok(body), parameter, step }
}
pub fn leave_out(name: &str, reason: &'static str) -> Row {
    Row { name: name.to_string(), body: Err(reason), parameter: 0, step: 1 }
}
/// NAME/1000 to NAME/10000000; an operation count is a multiple of `step_per_size` times the size, or, if that is 0, any number.
pub fn add_sizes(rows: &mut Vec<Row>, name: &str, body: Body, step_per_size: u64) {
    for power in 3..=7 {
        let size = 10u64.pow(power);
        rows.push(row(&format!("{name}/{size}"), body, size, (step_per_size * size).max(1)));
    }
}

/// As the twin: the rows in which two sides take turns, each on a CPU of its own.
fn has_counterpart(row: &str) -> bool {
    row == "wake_parked" || row == "wake_busy" || row.starts_with("echo/")
}
pub enum Side {
    Runtime,
    Counterpart,
}
pub fn pin(side: Side) {
    static ALLOWED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let mut allowed = ALLOWED.lock().unwrap();
    // SAFETY: a cpu_set_t is plain bits, and the calls stay within its size.
    unsafe {
        if allowed.is_empty() {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            if libc::sched_getaffinity(0, std::mem::size_of_val(&set), &mut set) == 0 {
                *allowed = (0..libc::CPU_SETSIZE as usize).filter(|&cpu| libc::CPU_ISSET(cpu, &set)).collect();
            }
        }
        if allowed.len() < 2 {
            return;
        }
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(allowed[matches!(side, Side::Counterpart) as usize], &mut one);
        libc::sched_setaffinity(0, std::mem::size_of_val(&one), &one); // where that is not allowed, it stays as it was
    }
}

fn list_of<T: std::fmt::Display>(values: &[T]) -> String {
    values.iter().map(|v| v.to_string()).collect::<Vec<_>>().join(", ")
}

fn run_row(contender: &str, row: &Row, body: Body, operations: u64, repetitions: u64, count: bool, slowdown: f64) {
    let operations = (operations.max(1) + row.step - 1) / row.step * row.step;
    let found = Allocations::find();
    found.set_counting(count);
    if has_counterpart(&row.name) {
        pin(Side::Runtime);
    }
    let (mut ns, mut allocations, mut bytes) = (vec![], vec![], vec![]);
    for _ in 0..repetitions {
        // Leaked, so that bodies may hand it to tasks without counting references; freed at the end of the repetition.
        let run: *mut Run = Box::into_raw(Box::new(Run {
            operations,
            slowdown,
            found: Allocations::find(),
            begin: None,
            before: (0, 0),
            ns: 0,
            allocations: 0,
            bytes: 0,
        }));
        // SAFETY: the body ends its tasks and threads before it returns.
        let run = unsafe {
            body(&mut *run, row.parameter);
            Box::from_raw(run)
        };
        ns.push(run.ns);
        allocations.push(run.allocations);
        bytes.push(run.bytes);
    }
    found.set_counting(false);
    let counts = if count {
        format!(", \"allocations\": [{}], \"bytes\": [{}]", list_of(&allocations), list_of(&bytes))
    } else {
        String::new()
    };
    println!(
        "{{\"contender\": \"{contender}\", \"row\": \"{}\", \"operations\": {operations}, \"ns\": [{}]{counts}}}",
        row.name,
        list_of(&ns)
    );
}

/// Says why this machine does not allow the row, and ends the program as the runner expects.
pub fn skip(reason: &str) -> ! {
    eprintln!("{reason}");
    std::process::exit(77)
}

pub fn run_program(contender: &str, rows: &[Row]) {
    let usage = || -> ! {
        eprintln!("usage: bench_{contender} --list | --row ROW [--operations N] [--repetitions K] [--count] [--slowdown F]");
        std::process::exit(2)
    };
    let (mut wanted, mut operations, mut repetitions, mut slowdown) = (String::new(), 1000u64, 1u64, 1.0f64);
    let (mut list, mut count) = (false, false);
    let mut words = std::env::args().skip(1);
    while let Some(option) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| usage());
        match option.as_str() {
            "--list" => list = true,
            "--row" => wanted = value(),
            "--operations" => operations = value().parse().unwrap_or_else(|_| usage()),
            "--repetitions" => repetitions = value().parse().unwrap_or_else(|_| usage()),
            "--slowdown" => slowdown = value().parse().unwrap_or_else(|_| usage()),
            "--count" => count = true,
            _ => usage(),
        }
    }
    let mut found = false;
    for row in rows {
        match row.body {
            Ok(_) if list => println!("{}\t{}", row.name, row.step),
            Err(reason) if list => println!("{}\t-\t{reason}", row.name),
            Ok(body) if row.name == wanted => {
                found = true;
                run_row(contender, row, body, operations, repetitions, count, slowdown);
            }
            _ => {}
        }
    }
    if !list && !found {
        eprintln!("{contender} has no row '{wanted}'");
        std::process::exit(2);
    }
}
