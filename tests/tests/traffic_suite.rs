//! Tests over real packets: namespaces, real sockets, the real agent.
//!
//! Each test builds a little network of its own in the lab and is written as rules in, packets out. Without
//! root all of them are left out, and the run says so.

use std::process::ExitCode;

use anyhow::Result;

mod agent {
    pub(crate) mod control_api;
    pub(crate) mod devices;
    pub(crate) mod document_history;
    pub(crate) mod guard;
    pub(crate) mod in_force;
    pub(crate) mod lifecycle;
}
mod anti_spoofing {
    pub(crate) mod own_source;
    pub(crate) mod vrrp;
}
mod conntrack {
    pub(crate) mod close_detection;
    pub(crate) mod closing;
    pub(crate) mod flows;
    pub(crate) mod impact;
    pub(crate) mod policy_changes;
    pub(crate) mod replies;
    pub(crate) mod takeover;
}
mod exceptions {
    pub(crate) mod closed_nic;
    pub(crate) mod dhcp;
    pub(crate) mod dhcp_clients;
    pub(crate) mod ethertypes_between_hosts;
    pub(crate) mod multicast;
    pub(crate) mod neighbours;
}
mod fields {
    pub(crate) mod dscp_between_hosts;
    pub(crate) mod family_between_hosts;
    pub(crate) mod protocol_between_hosts;
}
mod frames {
    pub(crate) mod big_tcp;
    pub(crate) mod malformed;
    pub(crate) mod receiver_between_hosts;
    pub(crate) mod vlans_between_hosts;
}
mod hooks {
    pub(crate) mod ipsec;
    pub(crate) mod placement;
    pub(crate) mod tunnels_between_hosts;
}
mod lab {
    pub(crate) mod baseline;
    pub(crate) mod cleanup;
}
mod observe {
    pub(crate) mod floods;
    pub(crate) mod ledger;
    pub(crate) mod live;
    pub(crate) mod metrics;
    pub(crate) mod no_data;
    pub(crate) mod records;
    pub(crate) mod restarts;
    pub(crate) mod slow_readers;
    pub(crate) mod stuck_sinks;
}
mod reject {
    pub(crate) mod bystanders;
    pub(crate) mod limits;
    pub(crate) mod live_connection;
    pub(crate) mod mark;
    pub(crate) mod no_reply;
    pub(crate) mod options;
    pub(crate) mod reply_sent;
}
mod scale {
    pub(crate) mod flood_isolation;
}
mod support {
    pub(crate) mod forwarding;
    pub(crate) mod reject_wire;
    pub(crate) mod routed;
    pub(crate) mod scene;
    pub(crate) mod suite;
}

use support::suite::{self, features};

fn main() -> Result<ExitCode> {
    if lab::cleanup::idle()? {
        return Ok(ExitCode::SUCCESS);
    }
    // Most of a test is waiting for silence.
    suite::run(8, |suite, arguments| {
        features!(suite:
            lab::cleanup,
            lab::baseline,
            fields::protocol_between_hosts,
            fields::dscp_between_hosts,
            fields::family_between_hosts,
            conntrack::replies,
            conntrack::policy_changes,
            reject::reply_sent,
            reject::no_reply,
            reject::bystanders,
            reject::limits,
            reject::mark,
            reject::live_connection,
            reject::options,
            exceptions::neighbours,
            exceptions::closed_nic,
            exceptions::dhcp,
            exceptions::dhcp_clients,
            anti_spoofing::own_source,
            anti_spoofing::vrrp,
            exceptions::multicast,
            conntrack::flows,
            conntrack::impact,
            observe::metrics,
            observe::records,
            observe::floods,
            observe::ledger,
            observe::no_data,
            observe::restarts,
            observe::slow_readers,
            observe::stuck_sinks,
            observe::live,
            scale::flood_isolation,
            conntrack::closing,
            conntrack::takeover,
            conntrack::close_detection,
            frames::malformed,
            exceptions::ethertypes_between_hosts,
            frames::receiver_between_hosts,
            frames::big_tcp,
            agent::devices,
            hooks::placement,
            hooks::tunnels_between_hosts,
            frames::vlans_between_hosts,
            agent::guard,
            agent::document_history,
            agent::lifecycle,
            agent::control_api,
            agent::in_force,
        );
        // What many kernels were built without: `cargo xtask test --kernel` asks for it, over kernels that must have it.
        if arguments.include_ignored {
            features!(suite: hooks::ipsec);
            suite.feature("hooks::tunnels_between_hosts");
            hooks::tunnels_between_hosts::of_kinds(suite);
            suite.feature("frames::vlans_between_hosts");
            frames::vlans_between_hosts::of_devices(suite);
        }
    })
}
