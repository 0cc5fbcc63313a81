//! Heavy work: a few at a time, a few waiting, each for at most a minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Runs closures on blocking threads, bounded in number and time.
#[derive(Clone)]
pub struct Pool {
    running: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    limits: PoolLimits,
}

/// Bounds of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// Closures that run at once.
    pub running: usize,
    /// Closures that wait for their turn.
    pub waiting: usize,
    /// How long one may run.
    pub time: Duration,
}

/// Work that was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// Too much waits already. Nothing has been started.
    #[error("{waiting} rounds wait already, at most {limit} may")]
    Full {
        /// How many wait.
        waiting: usize,
        /// How many may.
        limit: usize,
    },
    /// It ran past its time. It goes on holding its place until it ends, for a thread cannot be stopped.
    #[error("work took longer than {limit_secs} s")]
    TooSlow {
        /// Seconds allowed.
        limit_secs: u64,
    },
    /// It panicked, or the worker is shutting down.
    #[error("work ended without an answer")]
    Ended,
}

/// Counts a waiter as long as it waits, however its waiting ends.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Pool {
    /// A pool with these bounds.
    pub fn new(limits: PoolLimits) -> Self {
        Self { running: Arc::new(Semaphore::new(limits.running)), waiting: Arc::default(), limits }
    }

    /// How many closures wait for their turn.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// False while a closure more would be refused.
    pub fn has_room(&self) -> bool {
        self.is_idle() || self.waiting() < self.limits.waiting
    }

    /// How many closures run at once at most.
    pub fn at_once(&self) -> usize {
        self.limits.running
    }

    /// True while a closure would start at once.
    pub fn is_idle(&self) -> bool {
        self.running.available_permits() > 0
    }

    /// What `work` gives.
    ///
    /// # Errors
    /// [`PoolError`].
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PoolError> {
        let PoolLimits { waiting: limit, time, .. } = self.limits;
        let before = self.waiting.fetch_add(1, Ordering::AcqRel);
        let waiting = Waiting(self.waiting.clone());
        if before >= limit && !self.is_idle() {
            return Err(PoolError::Full { waiting: before, limit });
        }
        let place = self.running.clone().acquire_owned().await.map_err(|_| PoolError::Ended)?;
        drop(waiting);
        let work = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(place);
            result
        });
        match tokio::time::timeout(time, work).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => Err(PoolError::Ended),
            Err(_) => Err(PoolError::TooSlow { limit_secs: time.as_secs() }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::mpsc;

    fn limits(time: Duration) -> PoolLimits {
        PoolLimits { running: 1, waiting: 1, time }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn work_beyond_the_queue_is_refused_at_once() {
        let pool = Pool::new(limits(Duration::from_secs(60)));
        let (release, held) = mpsc::channel::<()>();
        let running = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(move || held.recv()).await }
        });
        while pool.is_idle() {
            tokio::task::yield_now().await;
        }
        let waiting = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(|| 2).await }
        });
        while pool.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(|| 3).await, Err(PoolError::Full { waiting: 1, limit: 1 }));
        release.send(()).unwrap();
        assert!(running.await.unwrap().is_ok());
        assert_eq!(waiting.await.unwrap(), Ok(2));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn work_past_its_time_is_given_up_but_keeps_its_place() {
        let pool = Pool::new(limits(Duration::ZERO));
        let (release, held) = mpsc::channel::<()>();
        let slow = pool.run(move || held.recv()).await;
        assert!(matches!(slow, Err(PoolError::TooSlow { .. })));
        assert!(!pool.is_idle());
        release.send(()).unwrap();
        while !pool.is_idle() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_panic_in_the_work_frees_its_place() {
        let pool = Pool::new(limits(Duration::from_secs(60)));
        let panicked: Result<(), _> = pool.run(|| std::panic::resume_unwind(Box::new(()))).await;
        assert_eq!(panicked, Err(PoolError::Ended));
        assert_eq!(pool.run(|| 1).await, Ok(1));
    }
}
