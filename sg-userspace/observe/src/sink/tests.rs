//! Sinks against collectors of the tests' own, which go away and come again.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::{TcpListener, UdpSocket},
    os::unix::net::UnixListener,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use socket2::{Domain, SockAddr, Socket, Type};
use tempfile::TempDir;

use super::{Batch, Counted, Sinks, Target, Why, delivery::MAX_QUEUED};
use crate::{
    options::FlowLogOptions,
    record::{Event, Record},
};

fn batch(ports: std::ops::Range<u16>) -> Batch {
    let records = ports.map(|port| {
        let end = Timestamp::from_second(i64::from(port)).unwrap();
        let mut record = Record::new(Event::Denied, end, end);
        (record.src, record.dst) = ("192.0.2.7/32".parse().ok(), "10.0.0.5/32".parse().ok());
        (record.dport, record.packets) = (Some(port), [1, 0]);
        Arc::new(record)
    });
    records.collect()
}

fn options(target: &str) -> FlowLogOptions {
    FlowLogOptions { sinks: vec![target.parse().unwrap()], ..FlowLogOptions::default() }
}

fn start(target: &str) -> Sinks {
    Sinks::start(&options(target), 7).unwrap()
}

fn counted(sinks: &Sinks) -> Counted {
    sinks.counted().pop().unwrap()
}

fn lost(sinks: &Sinks, why: Why) -> u64 {
    counted(sinks).lost.iter().find(|lost| lost.why == why).unwrap().records
}

/// Waits until a condition holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn ports(text: &str) -> Vec<u16> {
    let records = text.lines().map(|line| serde_json::from_str::<Record>(line).unwrap());
    records.filter_map(|record| record.dport).collect()
}

#[test]
fn the_page_has_every_cause_of_loss() {
    let page = include_str!("../../../../docs/use/flow-log.md");
    assert!(Why::ALL.iter().all(|why| page.contains(&format!("`{why}`"))));
}

#[test]
fn targets_are_written_as_they_are_read() {
    for text in [
        "file:/var/log/sgd/flows.jsonl",
        "unix:/run/collector.sock",
        "ipfix+udp://192.0.2.1:4739",
        "ipfix+tcp://[2001:db8::1]:4739",
        "ipfix+udp://collector.example.com:1",
    ] {
        assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
    }
    for (text, error) in [
        ("flows.jsonl", "write file:/PATH, unix:/PATH, ipfix+udp://HOST:PORT or ipfix+tcp://HOST:PORT"),
        ("ipfix://h:1", "write file:/PATH"),
        ("file:flows.jsonl", "write an absolute path of a file"),
        ("file:/var/log/", "write an absolute path of a file"),
        ("unix:/", "write an absolute path of a file"),
        ("ipfix+udp://host", "write HOST:PORT"),
        ("ipfix+udp://:4739", "write HOST:PORT"),
        ("ipfix+udp://::1:4739", "an IPv6 address is in brackets"),
        ("ipfix+tcp://host:0", "write HOST:PORT"),
        ("ipfix+tcp://user@host:1", "write HOST:PORT"),
    ] {
        let refused = text.parse::<Target>().unwrap_err().to_string();
        assert!(refused.contains(error), "{refused}");
    }
    let long = format!("unix:/{}", "x".repeat(200));
    assert!(long.parse::<Target>().unwrap_err().to_string().contains("107 bytes"));
}

#[test]
fn a_file_has_what_the_filter_admits() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("flows");
    let mut options = options(&format!("file:{}", path.display()));
    options.filter = "port=10-19".parse().unwrap();
    let sinks = Sinks::start(&options, 7).unwrap();
    sinks.offer(&batch(0..100), None);
    until("written", || counted(&sinks).records == 10);
    assert_eq!(ports(&fs::read_to_string(&path).unwrap()), (10..20).collect::<Vec<_>>());
    assert_eq!(counted(&sinks).bytes, fs::metadata(&path).unwrap().len());
}

#[test]
fn sums_are_written_at_the_end_of_an_interval_and_of_the_agent() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("flows");
    let mut options = options(&format!("file:{}", path.display()));
    options.aggregate = "remote".parse().ok();
    let sinks = Sinks::start(&options, 7).unwrap();
    sinks.offer(&batch(0..100), None);
    sinks.offer(&batch(0..100), None);
    drop(sinks);
    let text = fs::read_to_string(&path).unwrap();
    let record: Record = serde_json::from_str(&text).unwrap();
    assert_eq!((record.packets, record.count), ([200, 0], Some(200)));
}

#[test]
fn a_nic_without_traffic_has_a_line_in_formats_that_say_so() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("flows");
    let mut options = options(&format!("file:{}", path.display()));
    options.format = "aws:${interface-id} ${log-status}".parse().unwrap();
    let sinks = Sinks::start(&options, 7).unwrap();
    let mut interval = Record::clone(&batch(0..1)[0]);
    "eth0".clone_into(&mut interval.nic);
    sinks.offer_no_data(&Arc::new(interval));
    until("written", || read(&path) == "eth0 NODATA\n");
}

#[test]
fn a_path_that_cannot_be_opened_is_said_at_the_start_and_tried_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("later/flows");
    let sinks = start(&format!("file:{}", path.display()));
    let error = counted(&sinks).error.unwrap();
    assert!(error.starts_with("cannot open ") && error.contains("later/flows"), "{error}");
    sinks.offer(&batch(0..10), None);
    fs::create_dir(folder.path().join("later")).unwrap();
    until("written", || counted(&sinks).records == 10);
    assert_eq!(ports(&fs::read_to_string(&path).unwrap()), (0..10).collect::<Vec<_>>());
    assert_eq!(counted(&sinks).error, None);
}

#[test]
fn a_path_cannot_move_the_cursor_of_whoever_reads_the_counts() {
    let sinks = start("unix:/nonexistent/\u{1b}[2J");
    assert_eq!(counted(&sinks).target, r"unix:/nonexistent/\u{1b}[2J");
}

#[test]
fn a_queue_that_is_full_loses_and_counts() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let sinks = start(&format!("unix:{}", path.display()));
    let (stream, batch, mut offered) = (&listener, batch(0..10_000), 0);
    // Nobody reads: the queue, the backlog and the socket fill.
    let begin = Instant::now();
    while lost(&sinks, Why::QueueFull) + lost(&sinks, Why::Collector) == 0 {
        sinks.offer(&batch, None);
        offered += batch.len() as u64;
        assert!(begin.elapsed() < Duration::from_mins(1));
        thread::sleep(Duration::from_millis(1));
    }
    assert!(offered > MAX_QUEUED as u64);
    let reading = stream.accept().unwrap().0;
    let counting = thread::spawn(move || {
        let lines = BufReader::new(reading)
            .lines()
            .map(|line| serde_json::from_str::<Record>(&line.unwrap()).unwrap());
        let (lost, read): (Vec<_>, Vec<_>) = lines.partition(|record| record.event == Event::Lost);
        (read.len() as u64, lost.iter().filter_map(|record| record.count).sum::<u64>())
    });
    until("all read", || {
        let Counted { records, lost, .. } = counted(&sinks);
        records + lost.iter().map(|lost| lost.records).sum::<u64>() == offered
    });
    let all = counted(&sinks);
    drop(sinks);
    let (read, said) = counting.join().unwrap();
    assert_eq!(read, all.records, "received + lost = offered");
    assert_eq!(said, all.lost.iter().map(|lost| lost.records).sum::<u64>(), "what was lost is said");
}

#[test]
fn a_collector_that_comes_again_gets_whole_lines() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("socket");
    let sinks = start(&format!("unix:{}", path.display()));
    sinks.offer(&batch(0..10), None);
    until("an error", || counted(&sinks).error.is_some());
    let error = counted(&sinks).error.unwrap();
    assert!(error.starts_with("cannot connect to "), "{error}");
    for round in 0..3 {
        let listener = UnixListener::bind(&path).unwrap();
        let mut lines = BufReader::new(listener.accept().unwrap().0).lines();
        let expected = if round == 0 { 0..10 } else { round * 100..round * 100 + 10 };
        for port in expected {
            let line = lines.next().unwrap().unwrap();
            assert_eq!(serde_json::from_str::<Record>(&line).unwrap().dport, Some(port));
        }
        fs::remove_file(&path).unwrap();
        drop((lines, listener));
        let next = (round + 1) * 100;
        sinks.offer(&batch(next..next + 10), None);
        until("an error", || counted(&sinks).error.is_some());
    }
    assert_eq!(lost(&sinks, Why::Collector), 0);
    drop(sinks);
}

#[test]
fn a_collector_that_accepts_no_connection_holds_up_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("socket");
    let address = SockAddr::unix(&path).unwrap();
    let socket = || Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    let (listener, waiting) = (socket(), socket());
    listener.bind(&address).unwrap();
    // One connection may wait to be accepted.
    listener.listen(0).unwrap();
    waiting.connect(&address).unwrap();
    let sinks = start(&format!("unix:{}", path.display()));
    sinks.offer(&batch(0..10), None);
    until("an error", || counted(&sinks).error.is_some());
    let error = counted(&sinks).error.unwrap();
    assert!(error.ends_with("the collector does not accept connections"), "{error}");
    listener.accept().unwrap();
    until("delivered", || counted(&sinks).records == 10);
}

#[test]
fn a_line_of_a_nic_without_traffic_is_filtered_by_its_name() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("flows");
    let mut options = options(&format!("file:{}", path.display()));
    options.format = "aws:${interface-id}".parse().unwrap();
    options.filter = "nic=eth1,verdict=drop".parse().unwrap();
    let sinks = Sinks::start(&options, 7).unwrap();
    for nic in ["eth0", "eth1"] {
        let mut interval = Record::clone(&batch(0..1)[0]);
        nic.clone_into(&mut interval.nic);
        sinks.offer_no_data(&Arc::new(interval));
    }
    until("written", || read(&path) == "eth1\n");
    drop(sinks);
    assert_eq!(read(&path), "eth1\n");
}

#[test]
fn what_is_left_at_the_end_is_counted() {
    let counters = {
        let sinks = start("unix:/nonexistent/socket");
        sinks.offer(&batch(0..10), None);
        until("an error", || counted(&sinks).error.is_some());
        let counters = Arc::clone(sinks.deliveries[0].shared_counters());
        drop(sinks);
        counters
    };
    let counted = counters.counted();
    let ended = counted.lost.iter().find(|lost| lost.why == Why::Ended).unwrap();
    assert_eq!((counted.records, ended.records), (0, 10));
}

/// Sequence numbers and number of data sets of messages.
fn message(bytes: &[u8]) -> (u16, u32, u16) {
    let word = |at: usize| u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap());
    (word(2), u32::from_be_bytes(bytes[8..12].try_into().unwrap()), word(16))
}

#[test]
fn udp_sends_templates_first() {
    let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
    collector.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let sinks = start(&format!("ipfix+udp://{}", collector.local_addr().unwrap()));
    sinks.offer(&batch(0..100), None);
    let (mut buffer, mut records) = ([0; 2048], 0);
    let length = collector.recv(&mut buffer).unwrap();
    assert_eq!(message(&buffer[..length]), (u16::try_from(length).unwrap(), 0, 2), "templates");
    until("sent", || counted(&sinks).records == 100);
    let mut last = 0;
    while records < 100 {
        let length = collector.recv(&mut buffer).unwrap();
        let (total, sequence, set) = message(&buffer[..length]);
        assert_eq!((usize::from(total), sequence, set), (length, records, 256));
        assert!(length <= 1400);
        last = length;
        // Each record of this test has as many bytes.
        records += u32::try_from((length - 20) / 77).unwrap();
    }
    assert!(last > 0 && records == 100, "{records}");
}

#[test]
fn udp_without_a_collector_counts_what_is_known_to_be_lost() {
    let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sinks = start(&format!("ipfix+udp://{address}"));
    sinks.offer(&batch(0..100), None);
    until("refused", || counted(&sinks).error.is_some());
    let collector = UdpSocket::bind(address).unwrap();
    collector.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut buffer = [0; 2048];
    collector.recv(&mut buffer).unwrap();
    assert_eq!(message(&buffer).2, 2, "templates again");
    until("sent", || counted(&sinks).error.is_none());
}

#[test]
fn tcp_begins_each_connection_with_templates_and_0() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let sinks = start(&format!("ipfix+tcp://{}", listener.local_addr().unwrap()));
    for _ in 0..2 {
        sinks.offer(&batch(0..1000), None);
        let (mut stream, _) = listener.accept().unwrap();
        let mut sets = Vec::new();
        let mut records = 0;
        while records < 1000 {
            let mut header = [0; 20];
            stream.read_exact(&mut header).unwrap();
            let (length, sequence, set) = message(&header);
            let mut rest = vec![0; usize::from(length) - 20];
            stream.read_exact(&mut rest).unwrap();
            assert_eq!(sequence, records);
            sets.push(set);
            if set != 2 {
                records += u32::try_from(rest.len() / 77).unwrap();
            }
        }
        assert_eq!((sets[0], sets.iter().filter(|set| **set == 2).count()), (2, 1), "{sets:?}");
    }
    assert_eq!(lost(&sinks, Why::Collector), 0);
}

#[test]
fn a_directory_that_is_gone_is_tried_again() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    fs::create_dir(&log).unwrap();
    let path = log.join("flows");
    let sinks = start(&format!("file:{}", path.display()));
    fs::remove_dir_all(&log).unwrap();
    sinks.offer(&batch(0..10), None);
    until("an error", || counted(&sinks).error.is_some());
    fs::create_dir(&log).unwrap();
    until("written", || counted(&sinks).records == 10);
    assert_eq!(ports(&read(&path)), (0..10).collect::<Vec<_>>());
    assert_eq!(counted(&sinks).error, None);
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}
