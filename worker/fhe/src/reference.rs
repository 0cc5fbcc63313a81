//! The slow, obvious product, which the fast ones are tested against.

/// `left · right` modulo Xⁿ + 1 and 2⁶⁴, by the definition; `right` may be shorter than `left`.
pub fn negacyclic_product(left: &[u64], right: &[i8]) -> Vec<u64> {
    let size = left.len();
    let mut product = vec![0u64; size];
    for (at, weight) in right.iter().enumerate().filter(|(_, weight)| **weight != 0) {
        for (from, value) in left.iter().enumerate() {
            let term = value.wrapping_mul(i64::from(*weight) as u64);
            match at + from {
                to if to < size => product[to] = product[to].wrapping_add(term),
                to => product[to - size] = product[to - size].wrapping_sub(term),
            }
        }
    }
    product
}
