//! Flow ageing, and what it reads about traffic for the observer. An observer that is behind makes a pass wait a little, since what is
//! not read yet is not lost; one that takes nothing makes nobody wait, since flows must expire. It must never look at what was
//! read. Called by `session`.

use std::{
    mem::take,
    time::{Duration, Instant},
};

use sg_kernel::Aged;

use super::Session;
use crate::{
    apply::{agent::Meanwhile, enforcer::Enforcer},
    lifecycle::traffic::Traffic,
};

/// How long it does so. An observer that keeps up takes a message in some milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

impl<E: Enforcer> Session<'_, E> {
    /// Whether the pass may go on: there is room for what it reads, or there has been none for too long. What then finds no room is
    /// lost, and counted.
    pub(super) fn may_age(&mut self) -> bool {
        let has_room = self.traffic.as_ref().is_none_or(|(sender, _)| sender.has_room());
        if has_room || !self.ageing {
            self.behind = None;
            return true;
        }
        self.behind.get_or_insert_with(Instant::now).elapsed() >= PATIENCE
    }

    /// Ages a part of the flow table.
    pub(super) fn age_some(&mut self) {
        let began = Instant::now();
        let aged = self.agent.age_some();
        self.ageing_took += began.elapsed();
        match aged {
            Ok(Aged { expired, is_last, at, live, reports, unread, ends_interval }) => {
                tracing::trace!("{expired} flows expired");
                self.ageing = !is_last;
                if is_last {
                    self.measure.aged(take(&mut self.ageing_took), live);
                }
                if let Some((sender, _)) = &self.traffic {
                    let at = Traffic::at(at, self.publisher.catalog());
                    sender.send(Traffic { flows: reports, unread, ends_interval, ..at });
                }
            }
            Err(error) => {
                tracing::error!("{error}");
                (self.ageing, self.ageing_took) = (false, Duration::ZERO);
            }
        }
    }

    /// Reads what did not pass, and starts an interval of live flows if it is time.
    pub(super) fn observe(&mut self) {
        let Some((sender, interval)) = &mut self.traffic else { return };
        if !sender.has_room() || !sender.is_read() {
            // It stays where it is counted.
            return;
        }
        if sender.flow_interval.is_some_and(|wanted| interval.is_over(wanted)) {
            self.agent.report_live_flows();
        }
        match self.agent.collect_denied() {
            Ok((jiffies, denials)) => {
                sender.send(Traffic { denials, ..Traffic::at(jiffies, self.publisher.catalog()) });
            }
            Err(error) => tracing::error!("{error}"),
        }
    }

    /// Passes on what was read before numbers changed their meaning.
    pub(super) fn pass_on_meanwhile(&mut self) {
        for Meanwhile { catalog, at, denials, flows } in self.agent.take_meanwhile() {
            if let Some((sender, _)) = &self.traffic {
                sender.send(Traffic { flows, denials, ..Traffic::at(at, catalog) });
            }
        }
    }
}
