//! The part in which two lists differ, at one comparison per entry. It must never know what the entries are. Called by the
//! compiler and the agent.

/// Both lists without their common prefix and their common suffix.
pub fn trim_common_ends<'a, T: PartialEq>(before: &'a [T], after: &'a [T]) -> (&'a [T], &'a [T]) {
    let same = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let (before, after) = (&before[same..], &after[same..]);
    let same = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
    (&before[..before.len() - same], &after[..after.len() - same])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_in_the_middle() {
        let differ = |before: &[u8], after: &[u8], gone: &[u8], come: &[u8]| {
            assert_eq!(trim_common_ends(before, after), (gone, come));
        };
        differ(&[], &[], &[], &[]);
        differ(&[1, 2], &[1, 2], &[], &[]);
        differ(&[1, 2], &[1, 3, 2], &[], &[3]);
        differ(&[1, 1], &[1], &[1], &[]);
        differ(&[1, 2, 3, 4], &[1, 3, 2, 4], &[2, 3], &[3, 2]);
        differ(&[1, 2], &[3], &[1, 2], &[3]);
    }
}
