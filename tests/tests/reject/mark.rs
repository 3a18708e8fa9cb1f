//! What a reject has that lets it pass the filter, nobody else can put on a packet: a process that may capture packets sees the
//! mark of rejects, and may set it (both take `CAP_NET_RAW` only).

use std::{
    io::Read as _,
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::AsRawFd as _,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{ifaddrs::getifaddrs, libc, sys::socket::bind};
use sg_tests::lab::{Attach, Family, Host, Lab, SILENCE};
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};

use crate::{
    reject::reply_sent::scene,
    support::{
        scene::{Client, Counted, Role, Server, counts, over_roles, web},
        suite::Suite,
    },
};

const PORT: u16 = 81;
const TRIES: u64 = 5;

pub(crate) fn tests(suite: &mut Suite) {
    over_roles(suite, "nobody_takes_the_mark", nobody_takes_the_mark);
}

/// A process sends what is rejected, sees the mark of the reject that comes in, and sends the same with that mark.
fn nobody_takes_the_mark(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    // Of a host what it sends, of a guest what the host sends to it.
    let rule = "{ id: told, action: reject, protocol: udp, ports: 81 }";
    let rules = match role {
        Role::Host => format!("egress: [{rule}]"),
        Role::Guest => format!("ingress: [{rule}]"),
    };
    let (scene, agent, _other) = scene(lab, attach, role, &web(role, &rules))?;
    let (host, device, target) = match role {
        Role::Host => (scene.host(Server), "eth0", Client),
        Role::Guest => (scene.lan.switch(), "server", Server),
    };
    if role == Role::Guest {
        host.address("bridge", &["10.77.0.254/24"])?;
    }
    let to: IpAddr = target.address(Family::V4);
    let receiver = scene.host(target).inside(|| Ok(UdpSocket::bind((to, PORT))?))?;
    let bits = listen_for_bits(host, device)?;
    let sender = host.inside(|| Ok(UdpSocket::bind("0.0.0.0:0")?))?;
    let send = || {
        // That the reject for the packet before came is said here, once.
        (0..2)
            .find_map(|_| sender.send_to(b"past the filter", SocketAddr::new(to, PORT)).ok())
            .context("sending")
    };
    // The first is lost on finding the neighbour, where it must be found.
    counts(&agent, Counted::Reason("reject-sent"), 1..=1, || {
        send()?;
        std::thread::sleep(SILENCE);
        Ok(())
    })?;
    let mut mark = 0;
    for (bit, socket) in bits.iter().enumerate() {
        let seen = (&*socket).read(&mut [0; 2_048]).is_ok();
        mark |= u32::from(seen) << bit;
    }
    // Nobody takes a mark off where a host is judged at XDP, so nothing is given one.
    ensure!((mark != 0) == (attach != Attach::Xdp), "the mark that was seen: {mark:#x}");

    SockRef::from(&sender).set_mark(mark).context("taking the mark")?;
    counts(&agent, Counted::Rule("told"), TRIES..=TRIES, || {
        for _ in 0..TRIES {
            send()?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    })?;
    receiver.set_read_timeout(Some(SILENCE))?;
    ensure!(receiver.recv(&mut [0; 64]).is_err(), "a packet with the mark passed the filter");
    Ok(())
}

/// A socket for each bit of a mark: it receives what comes in on `device` with that bit.
fn listen_for_bits(host: &Host, device: &str) -> Result<Vec<Socket>> {
    const PROTOCOL: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE).cast_unsigned();
    const MARK: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_MARK).cast_unsigned();
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const SET: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    const OUTGOING: u32 = libc::PACKET_OUTGOING as u32;
    host.inside(|| {
        let found = getifaddrs()?.filter(|found| found.interface_name == device);
        let mut links = found.filter_map(|found| found.address?.as_link_addr().copied());
        let link = links.next().with_context(|| format!("no device {device}"))?;
        let listen = |bit: u32| {
            // Every protocol: such sockets come before the hooks of traffic control.
            let all = Protocol::from(i32::from((libc::ETH_P_ALL as u16).to_be()));
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(all))?;
            socket.attach_filter(&[
                SockFilter::new(LOAD, 0, 0, PROTOCOL),
                SockFilter::new(EQUAL, 3, 0, OUTGOING),
                SockFilter::new(LOAD, 0, 0, MARK),
                SockFilter::new(SET, 0, 1, 1 << bit),
                SockFilter::new(RETURN, 0, 0, 2_048),
                SockFilter::new(RETURN, 0, 0, 0),
            ])?;
            socket.set_nonblocking(true)?;
            bind(socket.as_raw_fd(), &link)?;
            Ok(socket)
        };
        (0..u32::BITS).map(listen).collect()
    })
}
