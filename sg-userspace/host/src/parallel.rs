//! Many jobs on several threads: to use every processor, or to wait for many things at the same time. It must never know what
//! the jobs are. The agent compiles with it, `sg-kernel` publishes with it, and `sg-service` lints with it.

use std::{
    iter,
    panic::resume_unwind,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

/// Runs `count` jobs, numbered from 0, on up to `threads` threads, including this one. Each thread calls `work` once with the
/// remaining jobs, which it takes one by one, and returns their results. The results are in the order of the jobs.
pub fn parallel_map<T: Send>(
    count: usize,
    threads: usize,
    work: impl Fn(&mut dyn Iterator<Item = usize>) -> Vec<(usize, T)> + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let worker = || work(&mut iter::from_fn(|| Some(next.fetch_add(1, Relaxed)).filter(|&job| job < count)));
    let others = threads.min(count).saturating_sub(1);
    let mut results = thread::scope(|scope| {
        // If a thread cannot be started, the others do its work.
        let spawn = |_| thread::Builder::new().spawn_scoped(scope, worker).ok();
        let others: Vec<_> = (0..others).filter_map(spawn).collect();
        let mut results = worker();
        for other in others {
            results.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        results
    });
    results.sort_unstable_by_key(|&(job, _)| job);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread::current};

    use super::*;

    #[test]
    fn every_job_is_done_once() {
        for (count, threads) in [(0, 4), (1, 4), (2, 1), (100, 4), (100, 0)] {
            let done = parallel_map(count, threads, |jobs| jobs.map(|job| (job, job * 2)).collect());
            assert_eq!(done, (0..count).map(|job| job * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn jobs_wait_at_the_same_time() {
        let all_are_here = Barrier::new(3);
        let threads = parallel_map(3, 8, |jobs| {
            jobs.map(|job| {
                all_are_here.wait();
                (job, current().id())
            })
            .collect()
        });
        assert!(threads[0] != threads[1] && threads[1] != threads[2]);
    }
}
