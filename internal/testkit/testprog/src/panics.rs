// Functions that panics leave: every third call of leaf panics, through middle, to outer. It fails unless all are caught, and all
// destructors run.
use std::cell::Cell;
use std::panic;

thread_local! {
    static DROPPED: Cell<i32> = Cell::new(0);
}

struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        DROPPED.with(|d| d.set(d.get() + 1));
    }
}

#[no_mangle]
#[inline(never)]
pub fn leaf(n: i32) -> i32 {
    if n % 3 == 0 {
        panic!("three");
    }
    n + 1
}

#[no_mangle]
#[inline(never)]
pub fn middle(n: i32) -> i32 {
    let _guard = Guard;
    leaf(n) + 1
}

#[no_mangle]
#[inline(never)]
pub fn outer(n: i32) -> i32 {
    panic::catch_unwind(|| middle(n)).unwrap_or(-1)
}

fn main() {
    let n: i32 = std::env::args().nth(1).map_or(300, |a| a.parse().unwrap());
    panic::set_hook(Box::new(|_| {}));
    let caught = (0..n).filter(|&i| outer(i) == -1).count() as i32;
    let dropped = DROPPED.with(|d| d.get());
    std::process::exit((caught != n / 3 || dropped != n) as i32);
}
