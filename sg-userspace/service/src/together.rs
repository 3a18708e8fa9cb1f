//! Several operations as one: all of them run, or the first refusal is that of all, and nothing was changed.
//!
//! It must never know what an operation does. The ECS API calls it through `Service`, for requests that change several things.

use super::{Operation, Refusal, Tx};

/// An operation that a request may be without.
impl<O: Operation> Operation for Option<O> {
    type Output = Option<O::Output>;

    fn run(&self, tx: &mut Tx) -> Result<Self::Output, Refusal> {
        self.as_ref().map(|operation| operation.run(tx)).transpose()
    }
}

/// The first, then the second.
impl<A: Operation, B: Operation> Operation for (A, B) {
    type Output = (A::Output, B::Output);

    fn run(&self, tx: &mut Tx) -> Result<Self::Output, Refusal> {
        Ok((self.0.run(tx)?, self.1.run(tx)?))
    }
}
