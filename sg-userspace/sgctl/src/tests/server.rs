//! A server on one socket with scripted responses, which records the requests.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
    vec::IntoIter,
};

use tempfile::TempDir;

/// What to do with a request.
pub(super) enum Response {
    /// Send a response with a status and a body.
    Say(u16, &'static str),
    /// Send a response in these pieces, as they come, and end it.
    Stream(&'static [&'static str]),
    /// The same, and never end it.
    Endless(&'static [&'static str]),
    /// Close the connection.
    HangUp,
    /// Send nothing, and leave the connection open.
    Sleep,
}

/// A recorded request.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) line: String,
    pub(super) token: Option<String>,
    pub(super) body: String,
}

pub(super) struct Server {
    dir: TempDir,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// Responds to requests with `responses`, in their order.
    pub(super) fn new(responses: Vec<Response>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("api.sock")).unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&received);
        let responses = Arc::new(Mutex::new(responses.into_iter()));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, log, responses) = (stream.unwrap(), Arc::clone(&log), Arc::clone(&responses));
                thread::spawn(move || serve(stream, &log, &responses));
            }
        });
        Self { dir, received }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.dir.path().join("api.sock")
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

fn serve(stream: UnixStream, log: &Mutex<Vec<Received>>, responses: &Mutex<IntoIter<Response>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = read(&mut reader) {
        log.lock().unwrap().push(request);
        let response = responses.lock().unwrap().next();
        match response {
            Some(Response::Say(status, body)) => say(&stream, status, body),
            Some(Response::Stream(pieces)) => {
                begin(&stream, pieces);
                let _ = (&stream).write_all(b"0\r\n\r\n");
            }
            Some(Response::Endless(pieces)) => {
                begin(&stream, pieces);
                std::mem::forget(stream);
                return;
            }
            Some(Response::Sleep) => {
                std::mem::forget(stream);
                return;
            }
            Some(Response::HangUp) | None => return,
        }
    }
}

fn read(reader: &mut BufReader<UnixStream>) -> Option<Received> {
    let (mut line, mut token, mut length) = (String::new(), None, 0);
    reader.read_line(&mut line).ok().filter(|&read| read > 0)?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        match header.trim().split_once(": ") {
            None => break,
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap();
            }
            Some((name, value)) if name.eq_ignore_ascii_case("idempotency-key") => {
                token = Some(value.to_owned());
            }
            Some(_) => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let line = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
    Some(Received { line, token, body: String::from_utf8(body).unwrap() })
}

fn say(mut stream: &UnixStream, status: u16, body: &str) {
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
}

fn begin(mut stream: &UnixStream, pieces: &[&str]) {
    let _ = write!(stream, "HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n");
    for piece in pieces {
        let _ = write!(stream, "{:x}\r\n{piece}\r\n", piece.len());
    }
}
