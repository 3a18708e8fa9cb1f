//! Words of other programs and of habit for what a rule says: actions, ends of ranges, services. They are known so that a message
//! can name what to write; documents accept none of them. `rule`, `ports` and the arguments of `sgctl` use these tables.

/// What other programs call actions, and what to write.
pub const ACTIONS: &[(&str, &str)] = &[
    ("allow", "accept"),
    ("allowed", "accept"),
    ("permit", "accept"),
    ("pass", "accept"),
    ("deny", "drop"),
    ("denied", "drop"),
    ("block", "drop"),
    ("discard", "drop"),
    ("refuse", "reject"),
];

/// What other programs write between the ends of a range.
pub const BETWEEN: [&str; 4] = [":", "/", "..", "–"];

/// Services that people type where a port is asked, in order: the name, the protocol over which a rule for one is usually written,
/// and the port that IANA assigned. It is no copy of `/etc/services`, so a command means the same on every host.
pub const SERVICES: &[(&str, &str, u16)] = &[
    ("dns", "udp", 53),
    ("ftp", "tcp", 21),
    ("http", "tcp", 80),
    ("https", "tcp", 443),
    ("imap", "tcp", 143),
    ("imaps", "tcp", 993),
    ("ldap", "tcp", 389),
    ("ldaps", "tcp", 636),
    ("mysql", "tcp", 3306),
    ("ntp", "udp", 123),
    ("postgresql", "tcp", 5432),
    ("rdp", "tcp", 3389),
    ("redis", "tcp", 6379),
    ("smtp", "tcp", 25),
    ("snmp", "udp", 161),
    ("ssh", "tcp", 22),
    ("submission", "tcp", 587),
    ("syslog", "udp", 514),
    ("telnet", "tcp", 23),
    ("tftp", "udp", 69),
];

/// Services that documents know besides, for their messages.
const MORE_SERVICES: [(&str, &str, u16); 5] = [
    ("domain", "udp", 53),
    ("pop3", "tcp", 110),
    ("postgres", "tcp", 5432),
    ("smb", "tcp", 445),
    ("smtps", "tcp", 465),
];

/// The protocol and the port of a service that people name.
pub(super) fn service(name: &str) -> Option<(&'static str, u16)> {
    let mut all = SERVICES.iter().chain(&MORE_SERVICES);
    let found = all.find(|(known, ..)| known.eq_ignore_ascii_case(name));
    found.map(|&(_, protocol, port)| (protocol, port))
}
