//! Comparing expected output with actual output, line against line.

use super::pattern;

/// Above this many pairs of lines the shortest difference is not searched for: what differs is shown as a whole.
const MAX_PAIRS: usize = 4_000_000;
/// What a missing or an extra line costs in an alignment.
const GAP: u32 = 3;
/// What a line costs that reads much like the expected one. Cheaper than a gap, so that a `...` does not swallow it.
const CHANGE: u32 = 2;

/// One entry of an alignment; numbers are indices of the expected and actual lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// The expected line matches the actual one.
    Same(usize, usize),
    /// The `...` stands for these actual lines.
    Any(usize, std::ops::Range<usize>),
    /// The expected line is not in the output.
    Missing(usize),
    /// The actual line is not expected.
    Extra(usize),
}

/// Expected and actual lines, ready to be compared.
pub(super) struct Comparison {
    /// `None` is `...`.
    expected: Vec<Option<String>>,
    actual: Vec<String>,
}

impl Comparison {
    pub(super) fn new<'a>(expected: impl Iterator<Item = &'a str>, actual: impl Iterator<Item = &'a str>) -> Self {
        let line = |text: &str| (!pattern::is_any_lines(text)).then(|| pattern::normalise(text));
        Self { expected: expected.map(line).collect(), actual: actual.map(pattern::normalise).collect() }
    }

    /// Whether the output is as expected.
    pub(super) fn matches(&self) -> bool {
        let mut segments = self.expected.split(Option::is_none);
        let first = segments.next().unwrap_or_default();
        let Some(last) = segments.next_back() else {
            return self.actual.len() == first.len() && starts_with(&self.actual, first);
        };
        if !starts_with(&self.actual, first) {
            return false;
        }
        let mut rest = self.actual.get(first.len()..).unwrap_or_default();
        for segment in segments {
            let found = (0..=rest.len()).find(|at| starts_with(rest.get(*at..).unwrap_or_default(), segment));
            match found {
                Some(at) => rest = rest.get(at.saturating_add(segment.len())..).unwrap_or_default(),
                None => return false,
            }
        }
        let tail = rest.len().checked_sub(last.len()).and_then(|at| rest.get(at..));
        tail.is_some_and(|tail| starts_with(tail, last))
    }

    /// The alignment with the fewest missing and extra lines; a changed line is both, one after the other.
    pub(super) fn align(&self) -> Vec<Op> {
        let (n, m) = (self.expected.len(), self.actual.len());
        let same = |i: usize, j: usize| {
            let expected = self.expected.get(i).and_then(Option::as_ref);
            expected.zip(self.actual.get(j)).is_some_and(|(e, a)| pattern::matches(e, a))
        };
        let head = (0..n.min(m)).take_while(|i| same(*i, *i)).count();
        let mut ops: Vec<Op> = (0..head).map(|i| Op::Same(i, i)).collect();
        let (rows, columns) = (n.saturating_sub(head), m.saturating_sub(head));
        if rows.saturating_add(1).saturating_mul(columns.saturating_add(1)) > MAX_PAIRS {
            ops.extend((head..n).map(Op::Missing));
            ops.extend((head..m).map(Op::Extra));
            return ops;
        }
        let alike = |i: usize, j: usize| {
            let expected = self.expected.get(i).and_then(Option::as_ref);
            expected.zip(self.actual.get(j)).is_some_and(|(e, a)| alike(e, a))
        };
        // cost[i][j]: the least cost from expected line head + i and actual line head + j on.
        let mut cost = vec![vec![0_u32; columns.saturating_add(1)]; rows.saturating_add(1)];
        let get =
            |cost: &[Vec<u32>], i: usize, j: usize| cost.get(i).and_then(|row| row.get(j)).copied().unwrap_or(u32::MAX);
        for i in (0..=rows).rev() {
            for j in (0..=columns).rev() {
                let (e, a) = (head.saturating_add(i), head.saturating_add(j));
                let (down, right) = (get(&cost, i.saturating_add(1), j), get(&cost, i, j.saturating_add(1)));
                let best = match self.expected.get(e) {
                    None if j == columns => 0,
                    Some(None) => down.min(right),
                    _ => {
                        let diagonal = get(&cost, i.saturating_add(1), j.saturating_add(1));
                        let diagonal = match () {
                            () if same(e, a) => diagonal,
                            () if alike(e, a) => diagonal.saturating_add(CHANGE),
                            () => u32::MAX,
                        };
                        diagonal.min(down.saturating_add(GAP)).min(right.saturating_add(GAP))
                    }
                };
                if let Some(cell) = cost.get_mut(i).and_then(|row| row.get_mut(j)) {
                    *cell = best;
                }
            }
        }
        let (mut i, mut j) = (0, 0);
        while i < rows || j < columns {
            let (e, a) = (head.saturating_add(i), head.saturating_add(j));
            let here = get(&cost, i, j);
            let down = get(&cost, i.saturating_add(1), j);
            if matches!(self.expected.get(e), Some(None)) {
                let from = j;
                while get(&cost, i.saturating_add(1), j) > here && j < columns {
                    j = j.saturating_add(1);
                }
                ops.push(Op::Any(e, head.saturating_add(from)..head.saturating_add(j)));
                i = i.saturating_add(1);
            } else if same(e, a) && get(&cost, i.saturating_add(1), j.saturating_add(1)) == here {
                ops.push(Op::Same(e, a));
                (i, j) = (i.saturating_add(1), j.saturating_add(1));
            } else if alike(e, a) && get(&cost, i.saturating_add(1), j.saturating_add(1)).saturating_add(CHANGE) == here
            {
                ops.extend([Op::Missing(e), Op::Extra(a)]);
                (i, j) = (i.saturating_add(1), j.saturating_add(1));
            } else if i < rows && (j >= columns || down.saturating_add(GAP) == here) {
                ops.push(Op::Missing(e));
                i = i.saturating_add(1);
            } else {
                ops.push(Op::Extra(a));
                j = j.saturating_add(1);
            }
        }
        ops
    }
}

/// Whether two lines share at least half of the longer one at their ends.
fn alike(expected: &str, actual: &str) -> bool {
    let (e, a) = (expected.as_bytes(), actual.as_bytes());
    let head = e.iter().zip(a).take_while(|(e, a)| e == a).count();
    let room = e.len().min(a.len()).saturating_sub(head);
    let tail = e.iter().rev().zip(a.iter().rev()).take(room).take_while(|(e, a)| e == a).count();
    let longer = e.len().max(a.len());
    longer > 0 && head.saturating_add(tail) >= longer.div_ceil(2)
}

fn starts_with(actual: &[String], expected: &[Option<String>]) -> bool {
    actual.len() >= expected.len()
        && expected.iter().zip(actual).all(|(e, a)| e.as_ref().is_some_and(|e| pattern::matches(e, a)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compare(expected: &str, actual: &str) -> Comparison {
        Comparison::new(expected.split_whitespace(), actual.split_whitespace())
    }

    #[test]
    fn three_dots_stand_for_any_lines() {
        for (expected, actual, same) in [
            ("", "", true),
            ("", "a", false),
            ("...", "", true),
            ("...", "a b", true),
            ("a ... b", "a b", true),
            ("a ... b", "a x y b", true),
            ("a ... b", "a x y b z", false),
            ("... a b ...", "a x a b c", true),
            ("... a b ...", "a x b", false),
            ("a ... a", "a", false),
            ("... ... a", "a", true),
        ] {
            assert_eq!(compare(expected, actual).matches(), same, "{expected} / {actual}");
        }
    }

    #[test]
    fn the_alignment_is_the_shortest() {
        use Op::*;
        assert_eq!(compare("a b c", "a x c").align(), [Same(0, 0), Missing(1), Extra(1), Same(2, 2)]);
        assert_eq!(compare("a ... c", "a x y d").align(), [Same(0, 0), Any(1, 1..4), Missing(2)]);
        assert_eq!(compare("a ... c", "b x c").align(), [Missing(0), Any(1, 0..2), Same(2, 2)]);
        // A line that reads much like the expected one is its change, and no part of the `...` around it.
        let around = compare("... boot:0x2 ...", "x boot:0x1 y");
        assert_eq!(around.align(), [Any(0, 0..1), Missing(1), Extra(1), Any(2, 2..3)]);
        assert_eq!(compare("", "a").align(), [Extra(0)]);
    }

    proptest! {
        #[test]
        fn an_alignment_without_differences_is_a_match(
            expected in proptest::collection::vec(prop_oneof!["[ab]", "[ab]…", Just("...".to_string())], 0..7),
            actual in proptest::collection::vec("[ab]{1,2}", 0..7),
        ) {
            let comparison = Comparison::new(expected.iter().map(String::as_str), actual.iter().map(String::as_str));
            let ops = comparison.align();
            let differs = ops.iter().any(|op| matches!(op, Op::Missing(_) | Op::Extra(_)));
            prop_assert_eq!(comparison.matches(), !differs);
            let covered: Vec<usize> = ops.iter().flat_map(|op| match op {
                Op::Same(_, a) | Op::Extra(a) => *a..a + 1,
                Op::Any(_, range) => range.clone(),
                Op::Missing(_) => 0..0,
            }).collect();
            prop_assert_eq!(covered, (0..actual.len()).collect::<Vec<_>>());
        }
    }
}
