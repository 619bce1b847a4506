use std::process::{Command, Stdio};

use super::{tree, usage};

#[test]
fn the_usage_of_a_tree_holds_its_children_and_ends_with_its_root() {
    // The shell waits for its child, which waits for the end of its input.
    let mut shell = Command::new("sh")
        .args(["-c", "cat; true"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("a shell");
    let root = shell.id().cast_signed();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while tree(root).expect("the list of processes").len() < 2 {
        assert!(std::time::Instant::now() < deadline, "the shell has no child");
        std::thread::yield_now();
    }
    let alive = usage(root).expect("the tree is alive");
    assert!(alive.resident_kib > 0);
    drop(shell.stdin.take());
    shell.wait().expect("the shell ends");
    assert!(usage(root).is_err());
}

#[test]
fn the_cpu_time_of_a_process_grows_while_it_works() {
    let own = std::process::id().cast_signed();
    let before = usage(own).expect("this process").cpu;
    let mut sum = 0_u64;
    while usage(own).expect("this process").cpu.saturating_sub(before).as_millis() < 5 {
        sum = std::hint::black_box(sum.wrapping_add(1));
    }
}
