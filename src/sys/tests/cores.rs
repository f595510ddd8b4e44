//! `executor`, `mesh`, `post`, `offload`, `notify`, `random`.

use super::{on_a_core, options};
use crate::sys::executor::{Either, Queue, race, sleep, spawn, start_core, timeout, yield_now};
use crate::sys::mesh::{self, MeshPort};
use crate::sys::notify::{Latch, Notify};
use crate::sys::offload::{Offload, Precedence};
use crate::sys::{post, random};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};
use types::CoreId;

#[test]
fn a_timeout_ends_what_lasts_and_leaves_what_is_quick() {
    on_a_core(|| async {
        assert_eq!(timeout(Duration::from_secs(20), async { 7 }).await, Some(7));
        let begin = Instant::now();
        assert_eq!(timeout(Duration::from_millis(20), sleep(Duration::from_secs(20))).await, None);
        assert!(begin.elapsed() >= Duration::from_millis(20));
        let winner = race(sleep(Duration::from_secs(20)), async { 'b' }).await;
        assert_eq!(winner, Either::Second('b'));
    });
}

#[test]
fn a_core_stays_on_its_processor() {
    let cpu = options(1).cpu;
    let core = start_core(options(1), move || async move {
        // SAFETY: the call has no arguments and cannot fail on Linux.
        #[allow(unsafe_code)]
        let found = unsafe { libc::sched_getcpu() };
        assert_eq!(usize::try_from(found), Ok(cpu));
    });
    core.expect("starts").join().expect("does not panic");
}

#[test]
fn a_notification_is_remembered_once() {
    on_a_core(|| async {
        let notify = Rc::new(Notify::new());
        notify.notify();
        notify.notify();
        notify.notified().await;
        let waited = timeout(Duration::from_millis(10), notify.notified()).await;
        assert_eq!(waited, None, "two became one");
        let (woken, flag) = (Rc::new(Cell::new(false)), notify.clone());
        spawn(Queue::Net, {
            let woken = woken.clone();
            async move {
                flag.notified().await;
                woken.set(true);
            }
        });
        sleep(Duration::from_millis(5)).await;
        notify.notify();
        sleep(Duration::from_millis(5)).await;
        assert!(woken.get());
    });
}

#[test]
fn a_latch_wakes_all_that_wait_and_forgets_those_that_went_away() {
    on_a_core(|| async {
        let latch = Rc::new(Latch::new());
        let woken = Rc::new(Cell::new(0));
        for _ in 0..3 {
            let (latch, woken) = (latch.clone(), woken.clone());
            spawn(Queue::Net, async move {
                for _ in 0..100 {
                    assert_eq!(timeout(Duration::ZERO, latch.wait()).await, None);
                }
                latch.wait().await;
                woken.set(woken.get() + 1);
            });
        }
        sleep(Duration::from_millis(100)).await;
        assert_eq!(woken.get(), 0);
        latch.set();
        sleep(Duration::from_millis(5)).await;
        assert_eq!(woken.get(), 3);
        latch.wait().await;
    });
}

#[test]
fn values_cross_threads_in_order_and_the_last_sender_ends_them() {
    let (sender, mut receiver) = post::channel();
    let receiving = start_core(options(0), move || async move {
        let mut received = Vec::new();
        while let Some(value) = receiver.recv().await {
            received.push(value);
        }
        received
    });
    let second = sender.clone();
    for value in 0..100 {
        if value == 50 {
            std::thread::sleep(Duration::from_millis(20)); // the receiver sleeps meanwhile
        }
        sender.send(value);
    }
    drop(sender);
    std::thread::sleep(Duration::from_millis(10));
    second.send(100);
    drop(second);
    let received = receiving.expect("starts").join().expect("does not panic");
    assert_eq!(received, (0..=100).collect::<Vec<_>>());
}

#[test]
fn blocking_work_leaves_the_core_free_and_waits_when_the_pool_is_full() {
    on_a_core(|| async {
        let offload = Offload::start(2, 2).expect("threads");
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let results = Rc::new(RefCell::new(Vec::new()));
        for n in 0..20 {
            let (offload, results) = (offload.clone(), results.clone());
            let (running, most) = (running.clone(), most.clone());
            spawn(Queue::Net, async move {
                let job = move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(2));
                    running.fetch_sub(1, Ordering::SeqCst);
                    n
                };
                let result = offload.run(job).await;
                results.borrow_mut().push(result);
            });
        }
        let mut turns = 0;
        while results.borrow().len() < 20 {
            sleep(Duration::from_millis(1)).await;
            turns += 1;
        }
        assert!(turns >= 5, "the core ran on while the pool worked");
        assert_eq!(most.load(Ordering::SeqCst), 2);
        let mut results = results.take();
        results.sort_unstable();
        assert_eq!(results, (0..20).collect::<Vec<_>>());
    });
}

#[test]
fn a_pool_behind_the_cores_has_the_lowest_priority_and_gives_way_at_once() {
    let attributes = |precedence: Precedence| {
        on_a_core(move || async move {
            let offload = Offload::start_as("test", precedence, 1, 1).expect("threads");
            offload.run(scheduling_of_this_thread).await
        })
    };
    let (equal, behind) = (attributes(Precedence::Equal), attributes(Precedence::Behind));
    assert_eq!(equal.sched_nice, 0);
    assert_eq!(behind.sched_nice, 19);
    // Before Linux 6.12 there is no turn to ask for, and the system says 0.
    assert!(behind.sched_runtime == 0 || behind.sched_runtime == 100_000, "{}", behind.sched_runtime);
}

fn scheduling_of_this_thread() -> libc::sched_attr {
    // SAFETY: all fields are numbers, for which zero is a value.
    #[allow(unsafe_code)]
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let bytes = size_of_val(&attributes);
    // SAFETY: 0 is the thread that calls; the system writes at most `bytes` to the structure.
    #[allow(unsafe_code)]
    let failed = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, bytes, 0) };
    assert_eq!(failed, 0);
    attributes
}

#[test]
fn random_bits_are_not_repeated() {
    assert_ne!(random::bits_128(), random::bits_128());
}

type Numbered = (u16, u32);

/// Starts a core per port; each sends `count` numbers to every other one and returns what it received.
fn exchange(ports: Vec<MeshPort<Numbered>>, count: u32) -> Vec<Vec<Numbered>> {
    let core_count = ports.len();
    let done = Arc::new(Barrier::new(core_count));
    let cores: Vec<_> = ports
        .into_iter()
        .enumerate()
        .map(|(index, port)| {
            let done = done.clone();
            let main = move || async move {
                let received = exchange_on_one(port, core_count, count).await;
                // No core may leave while another one still sends to it.
                Offload::start(1, 1)
                    .expect("a thread")
                    .run(move || {
                        let _ = done.wait();
                    })
                    .await;
                received
            };
            start_core(options(index), main).expect("starts")
        })
        .collect();
    cores.into_iter().map(|core| core.join().expect("does not panic")).collect()
}

async fn exchange_on_one(port: MeshPort<Numbered>, core_count: usize, count: u32) -> Vec<Numbered> {
    let me = port.core();
    let (mesh, inbox) = port.open();
    let received = Rc::new(RefCell::new(Vec::new()));
    inbox.receive({
        let received = received.clone();
        move |message| received.borrow_mut().push(message)
    });
    for number in 0..count {
        mesh.room().await;
        for to in (0..core_count as u16).map(CoreId).filter(|to| *to != me) {
            mesh.send(to, (me.0, number));
        }
    }
    while received.borrow().len() < count as usize * (core_count - 1) {
        sleep(Duration::from_millis(1)).await;
    }
    yield_now().await;
    received.take()
}

#[test]
fn every_core_hears_every_other_one_in_order_whatever_the_bound() {
    for (core_count, messages_max, count) in [(2, 1, 300), (2, 64, 20_000), (3, 17, 5_000)] {
        let received = exchange(mesh::ports(core_count, messages_max), count);
        for (me, received) in received.iter().enumerate() {
            for from in (0..core_count).filter(|from| usize::from(*from) != me) {
                let numbers: Vec<u32> = received
                    .iter()
                    .filter(|(sender, _)| *sender == from)
                    .map(|(_, number)| *number)
                    .collect();
                assert_eq!(numbers, (0..count).collect::<Vec<_>>(), "from {from} to {me}");
            }
        }
    }
}

#[test]
fn a_producer_waits_for_a_receiver_that_is_behind() {
    const MAX: usize = 32;
    let mut ports = mesh::ports::<u32>(2, MAX);
    let receiving = ports.remove(1);
    let sending = ports.remove(0);
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let sender = start_core(options(0), move || async move {
        let (mesh, _inbox) = sending.open();
        for number in 0..10_000 {
            mesh.room().await;
            mesh.send(CoreId(1), number);
            count.fetch_add(1, Ordering::SeqCst);
        }
        sleep(Duration::from_millis(50)).await;
    });
    let receiver = start_core(options(1), move || async move {
        sleep(Duration::from_millis(100)).await; // behind
        let early = sent.load(Ordering::SeqCst);
        let (_mesh, inbox) = receiving.open();
        let received = Rc::new(Cell::new(0_u32));
        inbox.receive({
            let received = received.clone();
            move |_| received.set(received.get() + 1)
        });
        while received.get() < 10_000 {
            sleep(Duration::from_millis(1)).await;
        }
        early
    });
    let early = receiver.expect("starts").join().expect("does not panic");
    sender.expect("starts").join().expect("does not panic");
    assert!(early <= 3 * MAX, "{early} were sent before anybody received");
}

#[test]
fn a_core_whose_tasks_hold_it_up_for_a_while_goes_on() {
    on_a_core(|| async {
        for _ in 0..20 {
            // Longer than any slice.
            std::thread::sleep(Duration::from_millis(3));
            let waited = timeout(Duration::from_secs(20), sleep(Duration::from_millis(1))).await;
            assert_eq!(waited, Some(()));
        }
    });
}
