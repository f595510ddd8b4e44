//! One seed twice gives the same bytes: the meta test of everything else.
//!
//! Runs the random scenarios twice and compares their tallies, the hash of every byte written and every
//! reply given among them. What differs would make every printed seed worthless.

use super::{Tally, crash, rot};
use engine::Sabotage;

/// Runs a seed of each random scenario twice.
///
/// # Errors
/// Which scenario differed, with both hashes.
pub fn run(seed: u64) -> Result<Tally, String> {
    let first = crash::run(seed, Sabotage::None, false).map_err(|broken| broken.violation.to_string())?;
    let second = crash::run(seed, Sabotage::None, false).map_err(|broken| broken.violation.to_string())?;
    if first != second {
        return Err(format!("crash {seed}: {first:?} and {second:?}"));
    }
    let one = rot::run(seed, Sabotage::None, false).map_err(|broken| broken.violation.to_string())?;
    let other = rot::run(seed, Sabotage::None, false).map_err(|broken| broken.violation.to_string())?;
    if one != other {
        return Err(format!("rot {seed}: {one:?} and {other:?}"));
    }
    let mut total = first;
    total += one;
    Ok(total)
}
