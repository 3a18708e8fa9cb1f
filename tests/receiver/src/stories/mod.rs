//! The kinds of cases. Each is one way in which frames may say one thing to a filter and another to a receiver, with
//! lots drawn for the rest.

mod chains;
mod discovery;
mod errors;
mod fragments;
mod lengths;
mod matter;
mod replies;

use crate::story::Teller;

/// A kind of case.
pub struct Story {
    /// Its name.
    pub name: &'static str,
    /// How often it is told, among the others.
    pub weight: u32,
    /// How it goes.
    pub tell: fn(&mut Teller),
}

const fn story(name: &'static str, weight: u32, tell: fn(&mut Teller)) -> Story {
    Story { name, weight, tell }
}

/// All of them.
pub const STORIES: &[Story] = &[
    story("whole", 10, lengths::whole),
    story("for another host", 2, lengths::flooded),
    story("truncated by its length", 8, lengths::truncated),
    story("length of nothing", 4, lengths::nothing),
    story("longer than the frame", 2, lengths::longer),
    story("header length", 4, lengths::header),
    story("options", 4, lengths::options),
    story("extension headers", 8, chains::headers),
    story("unfinished chain", 8, chains::unfinished),
    story("fragments", 8, fragments::honest),
    story("fragments in any order", 6, fragments::shuffled),
    story("fragments that overlap", 8, fragments::overlapping),
    story("fragments again", 3, fragments::again),
    story("first fragment without its headers", 8, fragments::headless),
    story("first fragment, tiny", 6, fragments::tiny),
    story("fragments with trailers", 6, fragments::trailing),
    story("fragments beyond the frame", 5, fragments::beyond),
    story("fragment of nothing", 3, fragments::empty),
    story("fragments in fragments", 5, fragments::nested),
    story("atomic fragment", 4, fragments::atomic),
    story("fragments of two protocols", 3, fragments::two_protocols),
    story("fragments of two datagrams", 5, fragments::two_datagrams),
    story("replies", 5, replies::honest),
    story("new within old", 5, replies::new_within_old),
    story("neighbour discovery", 6, discovery::whole),
    story("errors", 4, errors::about),
    story("truncated errors", 4, errors::truncated),
];
