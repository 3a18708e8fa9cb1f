//! The events that wake the agent, and how they are merged into wake-ups.
//!
//! An event says where to look, never what is there: one look handles a hundred of them. This file must never look itself.
//! `sources` and `policy_file` send events, `lifecycle` takes the wake-ups.

use std::time::Duration;

use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{Instant, timeout_at},
};

/// A burst is over after this much quiet. An editor's rename-over is several events over some time; a new device is a dozen in a
/// row, and is not filtered until it is handled.
const QUIET_FILE: Duration = Duration::from_millis(50);
const QUIET_DEVICES: Duration = Duration::from_millis(5);
/// The longest wait for a burst to end.
const PATIENCE: Duration = Duration::from_millis(500);

/// Something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The policy file may have changed.
    PolicyFile,
    /// SIGHUP: read the policy, changed or not.
    Reload,
    /// A link or an address was added, changed or removed.
    Devices,
    /// The timer expired.
    Tick,
    /// SIGTERM or SIGINT, by name.
    Stop(&'static str),
}

/// When the policy is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reading {
    /// If the file is not the one that was read last.
    IfChanged,
    /// In any case.
    Anyway,
}

/// The events of a burst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wake {
    pub(crate) policy: Option<Reading>,
    pub(crate) devices: bool,
    pub(crate) tick: bool,
    pub(crate) stop: Option<&'static str>,
}

impl Wake {
    fn add(&mut self, event: Event) {
        match event {
            Event::PolicyFile => self.policy = self.policy.max(Some(Reading::IfChanged)),
            Event::Reload => self.policy = Some(Reading::Anyway),
            Event::Devices => self.devices = true,
            Event::Tick => self.tick = true,
            Event::Stop(signal) => self.stop = Some(signal),
        }
    }

    /// How long to wait for more of the same; `None` if nothing more is likely to follow at once.
    fn quiet(&self) -> Option<Duration> {
        match self {
            Self { stop: Some(_), .. } => None,
            Self { policy: Some(_), .. } => Some(QUIET_FILE),
            Self { devices: true, .. } => Some(QUIET_DEVICES),
            _ => None,
        }
    }
}

/// The sending end, for sources of events.
pub(crate) type Sender = UnboundedSender<Event>;

/// The receiving end, which merges events into wake-ups.
#[derive(Debug)]
pub(crate) struct Events {
    receiver: UnboundedReceiver<Event>,
    /// The burst that is not over yet: a cancelled wait loses nothing.
    burst: Option<Burst>,
}

#[derive(Debug)]
struct Burst {
    wake: Wake,
    /// When the burst is handled, over or not.
    patience: Instant,
}

/// Creates both ends.
pub(crate) fn channel() -> (Sender, Events) {
    let (sender, receiver) = unbounded_channel();
    (sender, Events { receiver, burst: None })
}

impl Events {
    /// Waits for an event, and for the rest of its burst. `None` when no source is left.
    pub(crate) async fn next(&mut self) -> Option<Wake> {
        let burst = match &mut self.burst {
            Some(burst) => burst,
            none => {
                let mut wake = Wake::default();
                wake.add(self.receiver.recv().await?);
                none.insert(Burst { wake, patience: Instant::now() + PATIENCE })
            }
        };
        loop {
            // Events already received belong to this wake-up, burst or not.
            while let Ok(event) = self.receiver.try_recv() {
                burst.wake.add(event);
            }
            let Some(quiet) = burst.wake.quiet() else { break };
            match timeout_at(burst.patience.min(Instant::now() + quiet), self.receiver.recv()).await {
                Ok(Some(event)) => burst.wake.add(event),
                Ok(None) | Err(_) => break,
            }
        }
        self.burst.take().map(|burst| burst.wake)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a paused clock that advances to the next timer only when nothing can run: these tests are about milliseconds, and a
    /// busy machine takes some for itself.
    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(future)
    }

    #[test]
    fn a_burst_is_one_wake_up() {
        block_on(async {
            let (sender, mut events) = channel();
            tokio::spawn(async move {
                for _ in 0..5 {
                    sender.send(Event::PolicyFile).unwrap();
                    tokio::time::sleep(QUIET_FILE / 5).await;
                }
                sender.send(Event::Devices).unwrap();
            });
            let wake = events.next().await.unwrap();
            assert_eq!(wake, Wake { devices: true, policy: Some(Reading::IfChanged), ..Wake::default() });
            assert_eq!(events.next().await, None, "nothing is left");
        });
    }

    #[test]
    fn a_new_device_is_looked_at_sooner_than_a_file() {
        block_on(async {
            let (sender, mut events) = channel();
            sender.send(Event::Devices).unwrap();
            sender.send(Event::Tick).unwrap();
            let before = Instant::now();
            assert_eq!(events.next().await, Some(Wake { devices: true, tick: true, ..Wake::default() }));
            assert!(before.elapsed() < QUIET_FILE);
        });
    }

    #[test]
    fn who_stops_waiting_loses_nothing() {
        block_on(async {
            let (sender, mut events) = channel();
            sender.send(Event::PolicyFile).unwrap();
            timeout_at(Instant::now() + QUIET_FILE / 5, events.next()).await.unwrap_err();
            sender.send(Event::Tick).unwrap();
            drop(sender);
            let wake = Wake { policy: Some(Reading::IfChanged), tick: true, ..Wake::default() };
            assert_eq!(events.next().await, Some(wake));
        });
    }

    #[test]
    fn an_endless_burst_is_handled() {
        block_on(async {
            let (sender, mut events) = channel();
            tokio::spawn(async move {
                while sender.send(Event::PolicyFile).is_ok() {
                    tokio::time::sleep(QUIET_FILE / 5).await;
                }
            });
            let before = Instant::now();
            assert!(events.next().await.unwrap().policy.is_some());
            assert!(before.elapsed() < PATIENCE * 2);
        });
    }

    #[test]
    fn a_signal_to_stop_waits_for_nothing() {
        block_on(async {
            let (sender, mut events) = channel();
            sender.send(Event::PolicyFile).unwrap();
            sender.send(Event::Stop("SIGTERM")).unwrap();
            let before = Instant::now();
            assert_eq!(events.next().await.unwrap().stop, Some("SIGTERM"));
            assert!(before.elapsed() < QUIET_FILE);
            drop(sender);
        });
    }
}
