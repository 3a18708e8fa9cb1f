//! What differs between the hooks: [`tc`] with a socket buffer, [`xdp`] with a bare frame. Both implement
//! [`Context`](crate::context::Context), and define the global functions that take a packet. The bodies of those functions are
//! elsewhere and must never know the hook. Used by the programs in `main.rs` alone.

pub mod tc;
pub mod xdp;

/// Defines the global functions that take a packet, for one context type: the verifier knows it by the type of the pointer
/// (`btf_prepare_func_args`, kernel/bpf/btf.c). It checks them once, and their callers know only that the packet was read.
/// Inlined, every way to parse a packet, and each number of VLAN tags, would be checked through everything that follows.
macro_rules! packet_functions {
    ($context:ident, $raw:ty, $frame:ident, $bare_frame:ident, $payload:ident, $ethertype:ident, $packet:ident, $quoted:ident,
     $claim:ident, $step:ident, $options:ident, $exception:ident, $linear_exception:ident, $event:ident, $report:ident) => {
        const _: subprograms::Frame<$raw> = $frame;
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $frame(raw: *mut $raw, scratch: *mut Scratch, scope: u64) -> u64 {
            frame::frame(&$context::new(raw), scratch, Some(scope)).word()
        }

        const _: subprograms::BareFrame<$raw> = $bare_frame;
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $bare_frame(raw: *mut $raw, scratch: *mut Scratch) -> u64 {
            frame::frame(&$context::new(raw), scratch, None).word()
        }

        const _: subprograms::Payload<$raw> = $payload;
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $payload(raw: *mut $raw) -> u64 {
            frame::find(&$context::new(raw)).word()
        }

        const _: subprograms::Ethertype<$raw> = $ethertype;
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $ethertype(raw: *mut $raw) -> u64 {
            ethertypes::ethertype(&$context::new(raw))
        }

        const _: subprograms::Packet<$raw> = $packet;
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $packet(
            raw: *mut $raw,
            family: u64,
            offset: u64,
            quotation: u64,
            packet: *mut Packet,
        ) -> u64 {
            view::parse(&$context::new(raw), family, offset, quotation, packet).word()
        }

        const _: subprograms::Quoted<$raw> = $quoted;
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $quoted(raw: *mut $raw, scratch: *mut Scratch) -> u64 {
            view::quoted(&$context::new(raw), scratch).word()
        }

        const _: subprograms::Claim<$raw> = $claim;
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $claim(raw: *mut $raw, kind: u64, offset: u64, end: u64, claimed: *mut Claim) -> u64 {
            view::claim(&$context::new(raw), ClaimKind::of(kind), offset, end, claimed)
        }

        const _: subprograms::SendEvent<$raw> = $event;
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $event(raw: *mut $raw, scratch: *mut Scratch, decision: u64, args: u64) -> u64 {
            events::send(&$context::new(raw), scratch, decision, args);
            0
        }

        const _: subprograms::Report<$raw> = $report;
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $report(raw: *mut $raw, scratch: *mut Scratch, decision: u64, scope: u64) -> u64 {
            denied::report(&$context::new(raw), scratch, decision, scope);
            0
        }

        const _: subprograms::Step<$raw> = $step;
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $step(raw: *mut $raw, list: u64, end: u64, state: u64) -> u64 {
            let ctx = $context::new(raw);
            options::step(&View::of(&ctx), List::of(list), end as usize, State::from_word(state)).word()
        }

        const _: subprograms::Options<$raw> = $options;
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $options(raw: *mut $raw, list: u64, at: u64, end: u64) -> u64 {
            let step = |state: State| State::from_word($step(raw, list, end, state.word()));
            options::walk(at as usize, step).word()
        }

        const _: subprograms::Exception<$raw> = $exception;
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $exception(raw: *mut $raw, packet: *const Packet, args: u64) -> u64 {
            exceptions::find(&$context::new(raw), packet, ExceptionArgs::of(args)).word()
        }

        const _: subprograms::Exception<$raw> = $linear_exception;
        /// Makes the message linear if necessary.
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $linear_exception(raw: *mut $raw, packet: *const Packet, args: u64) -> u64 {
            let find = || ExceptionResult::of($exception(raw, packet, args));
            exceptions::find_linear(&$context::new(raw), packet, find).word()
        }
    };
}
use packet_functions;
