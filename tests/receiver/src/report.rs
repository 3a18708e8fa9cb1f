//! What is printed: bytes in hex, cases, and all that is needed to see one again.

use std::fmt;

use crate::{
    seen::Seen,
    story::{Case, Step},
};

/// Bytes in hex.
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, place) = self.origin;
        writeln!(f, "seed {seed}, case {place}: {} from {} to {}", self.story, self.ends.from, self.ends.to)?;
        writeln!(f, "  lies: {:?}", self.lies)?;
        for step in &self.steps {
            match step {
                Step::Frame(frame) => writeln!(f, "  frame {}", Hex(frame))?,
                Step::Reply(packet) => writeln!(f, "  the receiver sends the packet {}", Hex(packet))?,
            }
        }
        Ok(())
    }
}

/// What a receiver saw, one a line.
pub struct All<'a>(pub &'a str, pub &'a [Seen]);

impl fmt::Display for All<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1.is_empty() {
            return writeln!(f, "  {} received nothing", self.0);
        }
        writeln!(f, "  {} received", self.0)?;
        self.1.iter().try_for_each(|seen| writeln!(f, "    {seen}"))
    }
}
