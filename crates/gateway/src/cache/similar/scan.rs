//! The nearest of many vectors, by looking at all of them: exact, nothing to build or to tune, and for the few thousand
//! vectors that questions of one context come to as quick as an index.

/// A vector of length 1, so that the dot product of two is their cosine. In steps of 1/32767: an error of 1 in 100,000,
/// for half the memory to be walked through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit(Vec<i16>);

/// What stands for 1.
const ONE: f32 = 32767.0;

impl Unit {
    /// `None` for what has no direction, or is no number.
    #[must_use]
    pub fn new(vector: &[f32]) -> Option<Self> {
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        #[expect(clippy::cast_possible_truncation, reason = "no part of a vector is longer than the whole")]
        let step = |value: &f32| (value / length * ONE) as i16;
        length.is_normal().then(|| Self(vector.iter().map(step).collect()))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn to_floats(&self) -> Vec<f32> {
        self.0.iter().map(|step| f32::from(*step) / ONE).collect()
    }
}

/// Vectors of one length, one behind the other in memory.
#[derive(Debug, Default)]
pub(crate) struct Matrix {
    values: Vec<i16>,
    width: usize,
}

impl Matrix {
    /// Appends a row. One of another length is not taken: it is of another model.
    pub(crate) fn push(&mut self, vector: &Unit) -> bool {
        let width = vector.0.len();
        if self.values.is_empty() {
            self.width = width;
        }
        if width == self.width {
            self.values.extend_from_slice(&vector.0);
        }
        width == self.width
    }

    /// Takes a row out; the last one takes its place.
    pub(crate) fn swap_remove(&mut self, row: usize) {
        let (start, last) = (row * self.width, self.values.len().saturating_sub(self.width));
        if start <= last {
            self.values.copy_within(last.., start);
            self.values.truncate(last);
        }
    }

    /// The row most like `vector` among those that will do, and how like it is: 1 is the same direction.
    pub(crate) fn nearest(&self, vector: &Unit, will_do: impl Fn(usize) -> bool) -> Option<(usize, f32)> {
        if self.width == 0 || vector.0.len() != self.width {
            return None;
        }
        let rows = self.values.chunks_exact(self.width).enumerate().filter(|(row, _)| will_do(*row));
        rows.map(|(row, values)| (row, cosine(values, &vector.0))).max_by(|(_, a), (_, b)| a.total_cmp(b))
    }
}

/// The cosine of the angle between two vectors of length 1. Their sums fit: none is larger than the product of the lengths,
/// 2³⁰.
fn cosine(left: &[i16], right: &[i16]) -> f32 {
    let products = left.iter().zip(right).map(|(left, right)| i32::from(*left) * i32::from(*right));
    products.fold(0_i32, i32::wrapping_add) as f32 / (ONE * ONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(values: &[f32]) -> Unit {
        Unit::new(values).unwrap()
    }

    #[test]
    fn the_nearest_is_found_and_how_near_it_is() {
        let mut matrix = Matrix::default();
        assert_eq!(matrix.nearest(&unit(&[1.0, 0.0]), |_| true), None);
        for row in [[0.0, 3.0], [2.0, 2.0], [-1.0, 0.0]] {
            assert!(matrix.push(&unit(&row)));
        }
        let (row, cosine) = matrix.nearest(&unit(&[5.0, 0.0]), |_| true).unwrap();
        assert_eq!(row, 1);
        assert!((cosine - 0.5_f32.sqrt()).abs() < 1e-4);
        let (row, cosine) = matrix.nearest(&unit(&[5.0, 0.0]), |row| row != 1).unwrap();
        assert_eq!(row, 0);
        assert!(cosine.abs() < 1e-4);
    }

    #[test]
    fn rows_are_taken_out() {
        let mut matrix = Matrix::default();
        for row in [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]] {
            matrix.push(&unit(&row));
        }
        matrix.swap_remove(0);
        assert_eq!(matrix.nearest(&unit(&[-1.0, 0.0]), |_| true).map(|(row, _)| row), Some(0));
        matrix.swap_remove(1);
        matrix.swap_remove(0);
        assert_eq!(matrix.nearest(&unit(&[1.0, 0.0]), |_| true), None);
        assert!(matrix.push(&unit(&[1.0, 0.0, 0.0])), "an empty one takes any width");
    }

    #[test]
    fn what_has_no_direction_is_no_vector() {
        for wrong in [vec![], vec![0.0; 4], vec![f32::NAN], vec![f32::INFINITY, 1.0]] {
            assert_eq!(Unit::new(&wrong), None);
        }
        let mut matrix = Matrix::default();
        matrix.push(&unit(&[1.0, 0.0]));
        assert!(!matrix.push(&unit(&[1.0, 0.0, 0.0])));
    }

    #[test]
    fn no_sum_is_too_large() {
        for vector in [vec![1.0], vec![1.0; 1537], vec![-1.0; 4096]] {
            let unit = unit(&vector);
            assert!((cosine(&unit.0, &unit.0) - 1.0).abs() < 1e-2, "{}", vector.len());
        }
    }
}
