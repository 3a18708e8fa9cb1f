//! The trail as a whole: what is written is read, whatever happens in between.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::mpsc,
    thread,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

const SMALL: Rotation = Rotation { max_bytes: 4_096, max_age: None, keep: 3 };

fn entry(operation: &str) -> Entry {
    Entry::new(Api::Native, operation, Who::process(0, 0, Some(1)), "socket")
}

/// Writes an entry and waits until it is written.
fn write(trail: &Trail, entry: Entry) {
    let (done, is_done) = mpsc::channel();
    trail.write_and(entry, move || done.send(()).unwrap());
    is_done.recv().unwrap();
}

fn all(path: &Path) -> HistoryPage {
    read(path, &HistoryQuery { limit: Some(1_000), ..HistoryQuery::default() }).unwrap()
}

fn numbers(page: &HistoryPage) -> Vec<u64> {
    page.items.iter().map(|entry| entry.sequence).collect()
}

fn operations(path: &Path, query: &HistoryQuery) -> Vec<String> {
    read(path, query).unwrap().items.into_iter().map(|entry| entry.operation).collect()
}

#[test]
fn entries_are_numbered_over_restarts() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state").join(FILE);
    for _ in 0..2 {
        let thread = TrailThread::spawn(path.clone(), ROTATION).unwrap();
        for _ in 0..3 {
            write(&thread.trail(), entry("post_groups"));
        }
        assert_eq!(thread.trail().status().unwrap().failing, None);
        thread.end();
    }
    assert_eq!(numbers(&all(&path)), [6, 5, 4, 3, 2, 1]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_line_is_an_object_with_nothing_empty_in_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(FILE);
    let thread = TrailThread::spawn(path.clone(), ROTATION).unwrap();
    let mut asked = Entry::new(Api::Ecs, "CreateSecurityGroup", Who::key("ak-1"), "10.0.0.9:4711");
    asked.request = Some("A".to_owned());
    let group = json!({"name": "a\u{1b}[31m\nb", "type": "basic"});
    let object = Object::new("group", "sg-1".to_owned(), "web".to_owned(), [None, Some(group)], &[]);
    let (done, is_done) = mpsc::channel();
    let changes = Changes { objects: vec![object], more: 0 };
    Ticket::new(thread.trail(), asked).done(changes, move || done.send(()).unwrap());
    is_done.recv().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.ends_with('\n') && text.lines().count() == 1 && !text.contains('\u{1b}'), "{text:?}");
    let mut line: Value = serde_json::from_str(&text).unwrap();
    assert!(line.as_object_mut().unwrap().remove("time").is_some());
    let wanted = json!({
        "sequence": 1, "request": "A", "api": "ecs", "operation": "CreateSecurityGroup",
        "who": {"access_key": "ak-1"}, "from": "10.0.0.9:4711", "outcome": "done",
        "objects": [{"change": "created", "kind": "group", "id": "sg-1", "name": "web",
            "after": {"name": "a\u{1b}[31m\nb", "type": "basic"}}],
    });
    assert_eq!(line, wanted);
    thread.end();
}

#[test]
fn a_modified_object_has_what_changed() {
    let fields =
        |ports: &str| Some(json!({"id": "sgr-1", "group": "sg-1", "spec": {"ports": ports}, "serial": 1}));
    let object = Object::new("rule", String::new(), String::new(), [fields("22"), fields("23")], &["group"]);
    assert_eq!(object.change, Change::Modified);
    assert_eq!(object.before, Some(json!({"group": "sg-1", "spec": {"ports": "22"}})));
    assert_eq!(object.after, Some(json!({"group": "sg-1", "spec": {"ports": "23"}})));
}

#[test]
fn an_entry_is_bounded() {
    let mut entry = entry("post_import");
    entry.message = Some("é".repeat(5_000));
    let large = || Some(Value::from("x".repeat(10_000)));
    entry.objects =
        (0..10).map(|_| Object::new("nic", "eni-1".into(), String::new(), [None, large()], &[])).collect();
    let bounded = entry.bounded();
    assert_eq!(bounded.message.unwrap().chars().count(), 1_025);
    let detailed = bounded.objects.iter().filter(|object| object.after.is_some()).count();
    assert_eq!((bounded.objects.len(), detailed), (10, 6));
}

#[test]
fn an_entry_with_many_objects_can_be_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(FILE);
    let thread = TrailThread::spawn(path.clone(), ROTATION).unwrap();
    for (length, listed) in [(10, OBJECTS..=OBJECTS), (2_000, 200..=300)] {
        let mut entry = entry("post_import");
        let object = Object::new("nic", "x".repeat(length), String::new(), [None, Some(json!({}))], &[]);
        entry.objects = vec![object; 1_500];
        write(&thread.trail(), entry);
        let page = all(&path);
        let read = &page.items[0];
        assert!(page.unreadable == 0 && listed.contains(&read.objects.len()), "{}", read.objects.len());
        assert_eq!(read.objects.len() as u64 + read.more_objects, 1_500);
    }
    thread.end();
}

#[test]
fn what_a_kill_left_of_a_line_is_skipped_and_said() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(FILE);
    let thread = TrailThread::spawn(path.clone(), ROTATION).unwrap();
    write(&thread.trail(), entry("a"));
    write(&thread.trail(), entry("b"));
    thread.end();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 20]).unwrap();
    let page = all(&path);
    assert_eq!((numbers(&page), page.unreadable), (vec![1], 1));
    let thread = TrailThread::spawn(path.clone(), ROTATION).unwrap();
    write(&thread.trail(), entry("c"));
    thread.end();
    let page = all(&path);
    assert_eq!((numbers(&page), page.unreadable), (vec![2, 1], 1));
    // Nor does a line without an end that somebody else wrote.
    File::create(&path).unwrap().write_all(&vec![b'x'; 3 << 20]).unwrap();
    assert!(all(&path).unreadable > 0);
}

#[test]
fn what_cannot_be_written_is_counted_and_said_and_keeps_nobody_waiting() {
    let folder = TempDir::new().unwrap();
    let directory = folder.path().join("state");
    // A file where the directory should be: so it is for root, too.
    fs::write(&directory, "").unwrap();
    let path = directory.join(FILE);
    let thread = TrailThread::spawn(path.clone(), ROTATION).unwrap();
    let trail = thread.trail();
    for _ in 0..3 {
        write(&trail, entry("post_groups"));
    }
    let status = trail.status().unwrap();
    assert!(status.lost == 3 && status.failing.unwrap().contains("audit.jsonl"));
    fs::remove_file(&directory).unwrap();
    write(&trail, entry("post_vpcs"));
    let status = trail.status().unwrap();
    assert_eq!((status.lost, status.failing), (3, None));
    let page = all(&path);
    let [written, lost] = &page.items[..] else { panic!("{page:?}") };
    assert_eq!((written.operation.as_str(), lost.outcome, lost.missing), ("post_vpcs", Outcome::Lost, 3));
    thread.end();
}

#[test]
fn a_file_that_was_moved_away_is_begun_anew() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(FILE);
    let thread = TrailThread::spawn(path.clone(), ROTATION).unwrap();
    write(&thread.trail(), entry("a"));
    fs::rename(&path, folder.path().join("audit.jsonl-20261130")).unwrap();
    write(&thread.trail(), entry("b"));
    assert_eq!(operations(&path, &HistoryQuery::default()), ["b"]);
    thread.end();
}

#[test]
fn pages_go_back_over_rotations() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(FILE);
    let thread = TrailThread::spawn(path.clone(), SMALL).unwrap();
    for number in 0..60 {
        write(&thread.trail(), entry(&format!("operation_{number}")));
    }
    thread.end();
    assert!(folder.path().join("audit.jsonl.1.gz").exists());
    let whole = numbers(&all(&path));
    assert!(whole.len() > 20 && whole.first() == Some(&60), "{whole:?}");
    assert!(whole.windows(2).all(|pair| pair[0] == pair[1] + 1), "{whole:?}");
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = read(&path, &HistoryQuery { limit: Some(7), after, ..HistoryQuery::default() }).unwrap();
        assert!(page.items.len() == 7 || page.next.is_none());
        paged.extend(numbers(&page));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(paged, whole);
    let new = HistoryQuery { newer_than: Some(57), ..HistoryQuery::default() };
    assert_eq!(operations(&path, &new), ["operation_59", "operation_58", "operation_57"]);
}

#[test]
fn each_filter_selects() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(FILE);
    let thread = TrailThread::spawn(path.clone(), ROTATION).unwrap();
    let trail = thread.trail();
    write(&trail, entry("first"));
    let mut refused = Entry::new(Api::Native, "delete_groups_group", Who::key("ak-1"), "10.0.0.9:4711");
    refused.target = Some("db".to_owned());
    write(&trail, refused);
    let mut done = Entry::new(Api::Document, "load_document", Who::file("/etc/sgd/p.yaml", Some(0)), "file");
    done.outcome = Outcome::Done;
    done.objects = vec![Object::new("group", "sg-1".into(), "web".into(), [None, Some(json!({}))], &[])];
    write(&trail, done);
    let middle = all(&path).items[1].time;
    let query = HistoryQuery::default;
    for (query, wanted) in [
        (HistoryQuery { who: Some("0".into()), ..query() }, &["first"][..]),
        (HistoryQuery { who: Some("ak-*".into()), ..query() }, &["delete_groups_group"]),
        (HistoryQuery { who: Some("10.0.0.9".into()), ..query() }, &["delete_groups_group"]),
        (HistoryQuery { who: Some("/etc/sgd/*".into()), ..query() }, &["load_document"]),
        (HistoryQuery { object: Some("web".into()), ..query() }, &["load_document"]),
        (HistoryQuery { object: Some("sg-*".into()), ..query() }, &["load_document"]),
        (HistoryQuery { object: Some("db".into()), ..query() }, &["delete_groups_group"]),
        (HistoryQuery { object: Some("w".into()), ..query() }, &[]),
        (HistoryQuery { operation: Some("*_document".into()), ..query() }, &["load_document"]),
        (HistoryQuery { operation: Some("load".into()), ..query() }, &[]),
        (HistoryQuery { outcome: Some(Outcome::Done), ..query() }, &["load_document"]),
        (HistoryQuery { until: Some(middle), ..query() }, &["first"]),
        (HistoryQuery { since: Some(middle), ..query() }, &["load_document", "delete_groups_group"]),
    ] {
        assert_eq!(operations(&path, &query), wanted, "{query:?}");
    }
    thread.end();
}

#[test]
fn refusals_that_cost_nothing_push_nothing_out() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(FILE);
    let thread = TrailThread::spawn(path.clone(), ROTATION).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for _ in 0..500 {
            thread.trail().write_limited(Limited::Unknown, entry("unknown")).await;
        }
        // Strangers use up nobody else's budget.
        for _ in 0..70 {
            thread.trail().write_limited(Limited::Role, entry("post_vpcs")).await;
        }
    });
    let of =
        |operation: &str| all(&path).items.into_iter().filter(|entry| entry.operation == operation).count();
    assert_eq!((of("unknown"), of("post_vpcs")), (60, 60));
    thread.end();
}

#[test]
fn a_ticket_that_nobody_turns_in_is_an_entry() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(FILE);
    let thread = TrailThread::spawn(path.clone(), ROTATION).unwrap();
    drop(Ticket::new(thread.trail(), entry("post_groups")));
    let flows = Object::new("flows", "7".to_owned(), String::new(), [Some(json!({})), None], &[]);
    let why = ["kernel", "no such table"].map(str::to_owned);
    let changes = Changes { objects: vec![flows], more: 0 };
    Ticket::new(thread.trail(), entry("post_flows_delete")).partly(why, changes, || ());
    thread.end();
    let page = all(&path);
    let [partly, dropped] = &page.items[..] else { panic!("{page:?}") };
    assert_eq!((dropped.outcome, dropped.code.as_deref()), (Outcome::Refused, Some("ending")));
    assert_eq!((partly.outcome, partly.code.as_deref()), (Outcome::Partly, Some("kernel")));
    assert_eq!(partly.objects[0].id, "7");
}

#[test]
fn many_writers_lose_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(FILE);
    let thread = TrailThread::spawn(path.clone(), ROTATION).unwrap();
    let trail = thread.trail();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| write(&trail, entry("post_groups"))));
        }
    });
    thread.end();
    let page = all(&path);
    assert_eq!((page.items.len(), page.items[0].sequence, page.unreadable), (400, 400, 0));
}

#[test]
fn a_trail_that_is_not_there_has_no_entries() {
    let folder = TempDir::new().unwrap();
    assert_eq!(all(&folder.path().join(FILE)), HistoryPage::default());
    assert_eq!(all(&folder.path().join("missing").join(FILE)), HistoryPage::default());
    let (called, is_called) = mpsc::channel();
    Trail::none().write_and(entry("a"), move || called.send(()).unwrap());
    is_called.try_recv().unwrap();
}

#[test]
fn the_access_log_has_a_line_for_each_request() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("later/access.jsonl");
    let thread = AccessThread::spawn(path.clone(), ROTATION).unwrap();
    // The file is opened once it can be.
    fs::create_dir(folder.path().join("later")).unwrap();
    let access = Access {
        time: jiff::Timestamp::UNIX_EPOCH,
        request: "A".to_owned(),
        api: Api::Native,
        operation: "get_groups".to_owned(),
        status: 200,
        code: None,
        microseconds: 12,
        who: Who::key("ak-1"),
        from: "127.0.0.1:9".to_owned(),
    };
    thread.log().note(&access);
    thread.end();
    let line: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let wanted = json!({
        "time": "1970-01-01T00:00:00Z", "request": "A", "api": "native", "operation": "get_groups", "status": 200,
        "microseconds": 12, "access_key": "ak-1", "from": "127.0.0.1:9",
    });
    assert_eq!(line, wanted);
}

#[test]
fn what_others_append_is_no_entry() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(FILE);
    let thread = TrailThread::spawn(path.clone(), ROTATION).unwrap();
    write(&thread.trail(), entry("a"));
    let mut other = OpenOptions::new().append(true).open(&path).unwrap();
    other.write_all(b"{\"sequence\": 7}\nhello\n\n").unwrap();
    write(&thread.trail(), entry("b"));
    let page = all(&path);
    assert_eq!((numbers(&page), page.unreadable), (vec![2, 1], 2));
    thread.end();
}
