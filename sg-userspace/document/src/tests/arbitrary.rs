//! Arbitrary bytes, which nobody meant as a policy.

use proptest::prelude::*;

use super::{
    super::{DocumentError, Loaded, parse},
    EXAMPLE,
};

/// Any result must be displayable.
fn show(read: Result<Loaded, DocumentError>) {
    match read {
        Ok(loaded) => loaded.warnings.iter().for_each(|warning| drop(warning.to_string())),
        Err(error) => drop(error.to_string()),
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        show(parse("policy.yaml", &bytes));
    }

    #[test]
    fn arbitrary_yaml_marks_never_panic(text in "[-?:,{}\\[\\]&*!|>'\"%@` \n#<a0.~/]{0,200}") {
        show(parse("policy.yaml", text.as_bytes()));
    }

    #[test]
    fn a_mutated_policy_never_panics(
        changes in proptest::collection::vec((0..EXAMPLE.len(), any::<u8>()), 1..8),
        end in 0..=EXAMPLE.len(),
    ) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        for (place, byte) in changes {
            bytes[place] = byte;
        }
        show(parse("policy.yaml", &bytes[..end]));
        show(parse("policy.yaml", &bytes));
    }

    #[test]
    fn a_policy_with_pieces_swapped_never_panics(
        from in 0..EXAMPLE.len(), length in 0..40_usize, to in 0..EXAMPLE.len(),
    ) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        let piece: Vec<u8> = bytes[from..].iter().copied().take(length).collect();
        bytes.splice(to..to, piece);
        show(parse("policy.yaml", &bytes));
    }
}
