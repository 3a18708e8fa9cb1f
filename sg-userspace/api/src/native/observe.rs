//! `GET /v1/observe`: records of traffic, those that are remembered and those to come, as lines of JSON. It must never make the
//! observer wait: a client that reads too slowly loses records, and is told how many. `mod.rs` calls `declare` once.

use std::{
    str::FromStr as _,
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use http_body_util::channel::Channel;
use jiff::Timestamp;
use sg_api_types::ObserveQuery;
use sg_observe::{
    aggregate::{Aggregate, Fields, MAX_SUMS},
    filter::Filter,
    history::{Packets, Watched, Watcher},
    record::{Event, Record},
};
use sg_records::KeyRole;
use tokio::time::timeout;

use super::{Native, error::Failed, places::Place, request::RequestContext, route::Route, routes::Routes};

/// Records that wait for a client: a third of a second at 100,000 a second, and 20 MiB.
const QUEUE: usize = 1 << 15;
/// How often sums are sent.
const SUMMING: Duration = Duration::from_secs(5);
/// How long a response is silent at most: connections without progress are closed after a minute, and only writing shows that a
/// client is gone.
const QUIET: Duration = Duration::from_secs(4);
/// The size at which a piece of the response is sent though more is there.
const PIECE: usize = 64 << 10;

pub(super) fn declare(routes: &mut Routes) {
    let route = Route::get("/v1/observe", "Observe traffic: records that are remembered, and those to come");
    routes.stream::<Record>(route.with::<ObserveQuery>().needs(KeyRole::Viewer), observe);
}

/// The parameters of a request.
struct StreamQuery {
    follow: bool,
    last: Option<usize>,
    packets: Packets,
    sums: Option<Fields>,
    filter: Filter,
}

/// Parameters that can be given once. The others are conditions, of which any value will do.
const ONCE: [&str; 4] = ["follow", "last", "packets", "aggregate_by"];
/// Parameters about what is remembered or summed, which single packets are not.
const NOT_OF_PACKETS: [&str; 3] = ["last", "since", "aggregate_by"];

fn parse(pairs: &[(String, String)]) -> Result<StreamQuery, Failed> {
    let mut query = StreamQuery {
        follow: false,
        last: None,
        packets: Packets::None,
        sums: None,
        filter: Filter::default(),
    };
    let now = Timestamp::now();
    for (name, value) in pairs {
        let malformed = |allowed: &str| Failed::Malformed(format!("{name}: {value:?} is not {allowed}"));
        match name.as_str() {
            "follow" => query.follow = value.parse().map_err(|_| malformed("true or false"))?,
            "last" => query.last = Some(value.parse().map_err(|_| malformed("a number"))?),
            "packets" => {
                query.packets = match value.as_str() {
                    "none" => Packets::None,
                    "each" => Packets::Each,
                    "frames" => Packets::Frames,
                    _ => return Err(malformed("none, each or frames")),
                }
            }
            "aggregate_by" => {
                let fields = Fields::from_str(value);
                query.sums = Some(fields.map_err(|error| Failed::Malformed(error.to_string()))?);
            }
            key => {
                let added = query.filter.add(key, value, now);
                added.map_err(|error| Failed::Malformed(error.to_string()))?;
            }
        }
    }
    let count = |wanted: &str| pairs.iter().filter(|(name, _)| name == wanted).count();
    if let Some(name) = ONCE.into_iter().find(|name| count(name) > 1) {
        return Err(Failed::Malformed(format!("{name}: given twice, and allowed once")));
    }
    if query.packets != Packets::None {
        if !query.follow {
            let message = "packets: single packets are not remembered; add follow=true";
            return Err(Failed::Malformed(message.to_owned()));
        }
        if let Some(name) = NOT_OF_PACKETS.into_iter().find(|name| count(name) > 0) {
            let message = format!(
                "{name}: single packets are neither remembered nor summed; leave out packets or this"
            );
            return Err(Failed::Malformed(message));
        }
    }
    Ok(query)
}

fn observe(native: &Native, context: &RequestContext) -> Result<Body, Failed> {
    let StreamQuery { follow, last, packets, sums, filter } = parse(&context.pairs())?;
    if packets == Packets::Frames {
        // A frame has what hosts say to each other.
        context.check(KeyRole::Admin)?;
    }
    let (observed, places) = (&native.observed, &native.places);
    let (place, snapshot, watcher) = if follow {
        let place = places.following(context.role())?;
        let (snapshot, watcher) = observed.snapshot_and_watch(filter.clone(), packets, QUEUE);
        let wants_past = last.is_some() || filter.since.is_some();
        (place, wants_past.then_some(snapshot), Some(watcher))
    } else {
        (places.reading(context.role())?, Some(observed.snapshot()), None)
    };
    let (sender, body) = Channel::new(2);
    let mut stream = Stream { sender, piece: Vec::with_capacity(PIECE * 2), _place: place };
    let mut sums = sums.map(|fields| Aggregate::new(&fields, MAX_SUMS));
    let runtime = tokio::runtime::Handle::current();
    // Reading the past takes a while, and waits for the client. Who is gone gets no more.
    tokio::task::spawn_blocking(move || {
        let mut past = || -> Result<(), Gone> {
            for record in snapshot.iter().flat_map(|snapshot| snapshot.each(&filter, last)) {
                let is_summed = sums.as_mut().is_some_and(|sums| sums.add(&record));
                if !is_summed && stream.add(&record) {
                    runtime.block_on(stream.flush())?;
                }
            }
            if watcher.is_none() {
                for record in sums.iter_mut().flat_map(Aggregate::take) {
                    if stream.add(&record) {
                        runtime.block_on(stream.flush())?;
                    }
                }
            }
            runtime.block_on(stream.flush())
        };
        if past().is_ok()
            && let Some(watcher) = watcher
        {
            runtime.spawn(async move {
                let _ = match sums {
                    None => stream.records(watcher).await,
                    Some(sums) => stream.sums(sums, watcher).await,
                };
            });
        }
    });
    Ok(Body::new(body))
}

fn write(record: &Record, piece: &mut Vec<u8>) {
    if serde_json::to_writer(&mut *piece, record).is_ok() {
        piece.push(b'\n');
    }
}

/// The client is gone.
struct Gone;

/// A response that goes on.
struct Stream {
    sender: http_body_util::channel::Sender<Bytes, std::convert::Infallible>,
    piece: Vec<u8>,
    /// Held as long as anything is sent.
    _place: Place,
}

impl Stream {
    async fn records(mut self, mut watcher: Watcher) -> Result<(), Gone> {
        loop {
            match timeout(QUIET, watcher.next()).await {
                Ok(Some(watched)) => {
                    let mut next = Some(watched);
                    while let Some(watched) = next {
                        if self.add(one(&watched)) {
                            self.flush().await?;
                        }
                        next = watcher.ready();
                    }
                    self.flush().await?;
                }
                Ok(None) => return Ok(()),
                Err(_) => self.show_life().await?,
            }
        }
    }

    async fn sums(mut self, mut sums: Aggregate, mut watcher: Watcher) -> Result<(), Gone> {
        let mut clock = tokio::time::interval(SUMMING);
        let mut last_sent = Instant::now();
        loop {
            tokio::select! {
                watched = watcher.next() => match watched {
                    Some(watched) => {
                        let record = one(&watched);
                        let counts = !record.live || record.event == Event::Lost;
                        if counts && !sums.add(record) {
                            self.add(record);
                        }
                    }
                    None => return Ok(()),
                },
                _ = clock.tick() => {
                    for record in sums.take() {
                        if self.add(&record) {
                            self.flush().await?;
                        }
                    }
                    if !self.piece.is_empty() {
                        last_sent = Instant::now();
                        self.flush().await?;
                    } else if last_sent.elapsed() >= QUIET {
                        last_sent = Instant::now();
                        self.show_life().await?;
                    }
                }
            }
        }
    }

    /// Sends an empty line: the connection is not idle, and a client that is gone is noticed.
    async fn show_life(&mut self) -> Result<(), Gone> {
        self.piece.push(b'\n');
        self.flush().await
    }

    /// Adds a line. Returns whether it is time to send what there is.
    fn add(&mut self, record: &Record) -> bool {
        write(record, &mut self.piece);
        self.piece.len() >= PIECE
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE * 2));
        self.sender.send_data(piece.into()).await.map_err(|_| Gone)
    }
}

fn one(watched: &Watched) -> &Record {
    match watched {
        Watched::Record(record) => record,
        Watched::Lost(record) => record,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let refused = |text: &str| {
            let pairs: Vec<_> = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
            match parse(&pairs) {
                Err(Failed::Malformed(message)) => message,
                Err(failed) => format!("{failed:?}"),
                Ok(_) => String::new(),
            }
        };
        for (query, named) in [
            ("colour=red", "\"colour\""),
            ("last=-1", "last: "),
            ("follow=yes", "follow: "),
            ("last=1&last=2", "last: given twice"),
            ("follow=true&follow=false", "follow: given twice"),
            ("packets=some&follow=true", "packets: "),
            ("packets=each", "packets: "),
            ("packets=each&follow=true&last=3", "last: "),
            ("packets=frames&follow=true&since=5m", "since: "),
            ("packets=each&follow=true&aggregate_by=port", "aggregate_by: "),
            ("aggregate_by=colour", "\"colour\""),
        ] {
            let message = refused(query);
            assert!(message.contains(named), "{query}: {message:?}");
        }
        for query in ["", "packets=none&last=3", "follow=true&packets=each&verdict=drop&verdict=reject"] {
            assert_eq!(refused(query), "", "{query}");
        }
    }
}
