//! Every global function: its signature, and the words that go through it.
//!
//! The verifier checks a *global* function once by its signature, whatever is known at the call (`check_func_call`,
//! kernel/bpf/verifier.c). Inlined, the code would be checked again from every datapath state, which takes over a million
//! instructions. So each stage that many states lead to is one. Its arguments are numbers and pointers, and its result is a
//! number: everything else is packed into a type of [`sg_common::packed`], where a host test holds each layout. A pointer may be
//! null for all that the verifier knows, and every function handles that.
//!
//! A definition stands beside the code that it belongs to, behind a line `const _: subprograms::Signature = function;` that ties
//! it to this list; `sg-common/tests/subprograms.rs` finds definitions without one. This file must never import a stage: all of
//! them import it.

use sg_common::{
    flow::{FlowEntry, FlowKey},
    guest, image, packet,
};

use crate::scratch::Scratch;

// Parsing. `Raw` is the context of a hook, whose pointer type the verifier knows.

/// Parses the frame, and looks up its flow in a [`FlowScope`](sg_common::packed::FlowScope). Returns a
/// [`FrameWord`](sg_common::packed::FrameWord).
pub type Frame<Raw> = extern "C" fn(*mut Raw, *mut Scratch, u64) -> u64;
/// As [`Frame`], without a flow lookup.
pub type BareFrame<Raw> = extern "C" fn(*mut Raw, *mut Scratch) -> u64;
/// Returns the payload as a [`FrameWord`](sg_common::packed::FrameWord); for `sg_xdp_reject`, an XDP action.
pub type Payload<Raw> = extern "C" fn(*mut Raw) -> u64;
/// Returns the name of a frame that is not IP, or zero.
pub type Ethertype<Raw> = extern "C" fn(*mut Raw) -> u64;
/// Parses the packet of this family, offset and quotation. Returns a [`ParseResult`](sg_common::packed::ParseResult).
pub type Packet<Raw> = extern "C" fn(*mut Raw, u64, u64, u64, *mut packet::Packet) -> u64;
/// Parses the packet that an ICMP error quotes. Returns a [`ParseResult`](sg_common::packed::ParseResult).
pub type Quoted<Raw> = extern "C" fn(*mut Raw, *mut Scratch) -> u64;
/// Reads a claim of this [`ClaimKind`](sg_common::packed::ClaimKind), offset and end. Returns zero on success.
pub type Claim<Raw> = extern "C" fn(*mut Raw, u64, u64, u64, *mut guest::Claim) -> u64;
/// Makes as many bytes linear. Returns whether more can be read than before.
pub type Pull = extern "C" fn(*mut aya_ebpf::bindings::__sk_buff, u64) -> u64;
/// Whether IPsec delivered the packet in this direction.
pub type Delivered = extern "C" fn(*mut aya_ebpf::bindings::__sk_buff, *const Scratch, u64) -> u64;

// Watching.

/// Counts and reports a packet that does not pass: the decision, and its [`DeniedScope`](sg_common::packed::DeniedScope).
pub type Report<Raw> = extern "C" fn(*mut Raw, *mut Scratch, u64, u64) -> u64;
/// Counts a packet that does not pass, of this length, by the name in the scratch, if there is an entry. Returns whether there is.
pub type DeniedKnown = extern "C" fn(*mut Scratch, u64) -> u64;
/// The same by the name with this [`Fold`](sg_common::denied::Fold), and the length.
pub type DeniedNew = extern "C" fn(*mut Scratch, u64, u64) -> u64;
/// Sends an event: the decision, and [`EventArgs`](sg_common::packed::EventArgs).
pub type SendEvent<Raw> = extern "C" fn(*mut Raw, *mut Scratch, u64, u64) -> u64;
/// Sends the last values of the half-open flow that the scratch names, if it has expired. If not, records the packet of these
/// [`InsertArgs`](sg_common::packed::InsertArgs) and this length there, and returns 1.
pub type Displaced = extern "C" fn(*mut Scratch, u64, u64) -> u64;
/// Sends the last values of a flow, if somebody reads them.
pub type Replaced = extern "C" fn(*const FlowKey, *const FlowEntry) -> u64;

// Exceptions.

/// One step in a [`List`](sg_common::options::List) that ends there, from a [`State`](sg_common::options::State) to the next.
pub type Step<Raw> = extern "C" fn(*mut Raw, u64, u64, u64) -> u64;
/// Walks a [`List`](sg_common::options::List) from an offset to an end. Returns a [`State`](sg_common::options::State).
pub type Options<Raw> = extern "C" fn(*mut Raw, u64, u64, u64) -> u64;
/// Whether the packet is an exception, by [`ExceptionArgs`](sg_common::packed::ExceptionArgs). Returns an
/// [`ExceptionResult`](sg_common::packed::ExceptionResult).
pub type Exception<Raw> = extern "C" fn(*mut Raw, *const packet::Packet, u64) -> u64;

// Flow tables. `args` are [`LookupArgs`](sg_common::packed::LookupArgs) unless said otherwise; the last number of most is the
// length of the frame.

/// Looks the flow up, by `args` and length. Returns a [`LookupResult`](sg_common::packed::LookupResult).
pub type Lookup = extern "C" fn(*mut Scratch, u64, u64) -> u64;
/// Judges the packet by the entry, by `args` and length. Returns a [`LookupResult`](sg_common::packed::LookupResult).
pub type Found = extern "C" fn(*mut Scratch, *mut FlowEntry, u64, u64) -> u64;
/// Records the packet in the entry, by `args` and length.
pub type Observe = extern "C" fn(*mut Scratch, *mut FlowEntry, u64, u64) -> u64;
/// Updates the entry with a decision, by [`RevalidateArgs`](sg_common::packed::RevalidateArgs).
pub type Judged = extern "C" fn(*mut Scratch, *mut FlowEntry, u64, u64) -> u64;
/// Records the request for a new connection in the entry, by decision, `args` and length.
pub type Request = extern "C" fn(*mut Scratch, *mut FlowEntry, u64, u64, u64) -> u64;
/// Looks for a closed connection, by `args`. Returns a [`LookupResult`](sg_common::packed::LookupResult).
pub type Unknown = extern "C" fn(*mut Scratch, u64) -> u64;
/// Updates the flow with a decision, by [`RevalidateArgs`](sg_common::packed::RevalidateArgs).
pub type Revalidate = extern "C" fn(*mut Scratch, u64, u64) -> u64;
/// Inserts a flow, or updates its entry, by decision, [`InsertArgs`](sg_common::packed::InsertArgs) and length. Returns whether
/// there is room.
pub type Open = extern "C" fn(*mut Scratch, u64, u64, u64) -> u64;
/// Inserts a flow for which there is room, as [`Open`].
pub type Insert = Open;
/// Gives the flow a place among half-open ones. Returns whether there are any.
pub type MakeRoom = extern "C" fn(*mut Scratch) -> u64;
/// Takes one [`RingStep`](sg_common::packed::RingStep), of this number. Returns the next.
pub type TakePlace = extern "C" fn(*mut Scratch, u64, u64) -> u64;
/// Evicts a half-open flow.
pub type Evict = extern "C" fn(*mut Scratch) -> u64;

// Fragments, by [`FlowScope`](sg_common::packed::FlowScope).

/// Whether a first fragment may begin its datagram.
pub type Begin = extern "C" fn(*mut Scratch, u64) -> u64;
/// Records a first fragment and its decision. Returns whether it is the first.
pub type Begun = extern "C" fn(*mut Scratch, u64, u64) -> u64;
/// Returns a [`FollowResult`](sg_common::packed::FollowResult).
pub type Follow = extern "C" fn(*mut Scratch, u64) -> u64;

// Images. A decision is a [`Decision`](sg_common::verdict::Decision) as a word, or zero if the image is corrupt; a first packet is a
// [`First`](sg_common::flow::First) as a word.

/// Walks from the reference at this word to its end: a decision, or a partition; or, of a partition, to its decision.
pub type Walk<const WORDS: usize> = extern "C" fn(*const [u64; WORDS], u64, *const image::Keys) -> u64;
/// Whether the keys are those of one of the NIC's own addresses, in this family, and of a DHCP server.
pub type DhcpServer<const WORDS: usize> = Walk<WORDS>;
/// Fills the keys of a packet in this direction.
pub type Keys = extern "C" fn(*mut image::Keys, *const packet::Packet, u64) -> u64;
/// Returns the decision of a NIC's slot on the flow, beginning with this first packet.
pub type Reclassify = extern "C" fn(*mut Scratch, u64, u64) -> u64;
/// Fills the keys of the flow, beginning with this first packet.
pub type Original = extern "C" fn(*mut Scratch, u64) -> u64;
/// Returns the [`Takeover`](sg_common::packed::Takeover) of a NIC's slot and the first packet that was seen.
pub type TakesOver = extern "C" fn(*mut Scratch, u64, u64) -> u64;
/// Whether the change with this id was cancelled, or its deadline has passed.
pub type IsOver = extern "C" fn(u64) -> u64;

// Candidates.

/// Asks a candidate about a packet with these keys, by [`Scope`](sg_common::candidate::Scope) and the decision on it.
pub type Compare = extern "C" fn(*const image::Keys, u64, u64) -> u64;
/// Counts both decisions, as [`Compare`]; the last number is the candidate's.
pub type Compared = extern "C" fn(*const image::Keys, u64, u64, u64) -> u64;

// Rejects.

/// Sends the reject of a packet that was rejected at this hook. Returns an action of tc.
pub type Reject = extern "C" fn(*mut aya_ebpf::bindings::__sk_buff, u64) -> u64;
/// Builds the reject for the packet at this offset, or checks the packet's checksums. Returns whether that succeeded.
pub type OfOffset<Raw> = extern "C" fn(*mut Raw, u64) -> u64;
/// Whether the sender gets a reject, by slot, direction and [`Delivery`](sg_common::reject::Delivery).
pub type GetsReject = extern "C" fn(u64, u64, u64) -> u64;
/// Returns the sum of a seed and the bytes at this offset and of this length.
pub type Sum<Raw> = extern "C" fn(*mut Raw, u64, u64, u64) -> u64;
