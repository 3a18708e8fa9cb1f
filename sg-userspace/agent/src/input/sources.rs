//! The sources of events, except the policy file: signals, the clock, the kernel's notifications about devices. Each is a task
//! that only sends; it must never do what the event calls for. Started by `lifecycle`.

use std::{io, time::Duration};

use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

use super::events::{Event, Sender};
use crate::error::AgentError;

/// How often flows are aged, and failures retried.
const TICK: Duration = Duration::from_secs(5);

/// Starts the clock and the listener for device changes. Changes from now on wake the agent.
pub(crate) fn spawn(events: &Sender) -> Result<(), AgentError> {
    spawn_clock(events);
    let what = "the kernel's news about devices (netlink)";
    let news = device_news().map_err(|source| AgentError::Source { what, source })?;
    tokio::spawn(pass_on_news(news, events.clone()));
    Ok(())
}

/// Starts the listener for the process's signals, if the agent is all there is in the process.
pub(crate) fn spawn_signals(events: &Sender) -> Result<(), AgentError> {
    let listen = |kind| signal(kind).map_err(|source| AgentError::Source { what: "signals", source });
    spawn_signal(listen(SignalKind::hangup())?, Event::Reload, events);
    spawn_signal(listen(SignalKind::terminate())?, Event::Stop("SIGTERM"), events);
    spawn_signal(listen(SignalKind::interrupt())?, Event::Stop("SIGINT"), events);
    Ok(())
}

fn spawn_signal(mut signal: Signal, event: Event, events: &Sender) {
    let events = events.clone();
    tokio::spawn(async move { while signal.recv().await.is_some() && events.send(event).is_ok() {} });
}

fn spawn_clock(events: &Sender) {
    let events = events.clone();
    let mut clock = interval(TICK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::spawn(async move {
        while events.send(Event::Tick).is_ok() {
            clock.tick().await;
        }
    });
}

fn device_news() -> io::Result<TokioSocket> {
    let groups = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    socket.socket_mut().bind(&SocketAddr::new(0, groups.cast_unsigned()))?;
    Ok(socket)
}

async fn pass_on_news(news: TokioSocket, events: Sender) {
    let mut message = Vec::new();
    loop {
        message.clear();
        let looked = news.recv(&mut message).await;
        if events.send(Event::Devices).is_err() {
            return;
        }
        match looked {
            // ENOBUFS: more notifications than the socket holds. What was lost is found by looking.
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
            Err(error) => {
                tracing::error!(
                    "the kernel's news about devices ended ({error}): send SIGHUP after a device changed"
                );
                return;
            }
        }
    }
}
