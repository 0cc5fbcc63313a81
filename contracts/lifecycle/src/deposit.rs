//! A stake or bond, and the one meaning of its movements: for the rules, which make them, and for the
//! books, which replay them.

use encompute_protocol::{Plancks, event::Movement};

/// A stake or bond. Jobs hold a part, a part was asked back; never more than there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deposit {
    /// All of it.
    pub amount: Plancks,
    /// What jobs hold.
    pub locked: Plancks,
    /// What was asked back.
    pub leaving: Plancks,
}

impl Deposit {
    /// The deposit after a movement; `None` where it would hold less than nothing, or less than jobs hold
    /// and was asked back.
    pub fn moved(self, movement: Movement, amount: Plancks) -> Option<Self> {
        let Self { amount: all, locked, leaving } = self;
        let next = match movement {
            Movement::Added => Self { amount: all.checked_add(amount)?, locked, leaving },
            Movement::Locked => Self { amount: all, locked: locked.checked_add(amount)?, leaving },
            Movement::Released => Self { amount: all, locked: locked.checked_sub(amount)?, leaving },
            Movement::Slashed => {
                Self { amount: all.checked_sub(amount)?, locked: locked.checked_sub(amount)?, leaving }
            }
            Movement::Asked => Self { amount: all, locked, leaving: amount },
            Movement::Taken => Self { amount: all.checked_sub(amount)?, locked, leaving: leaving.checked_sub(amount)? },
        };
        // Jobs never hold what is leaving or what is not there.
        (next.locked.checked_add(next.leaving)? <= next.amount).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deposit(amount: u128, locked: u128, leaving: u128) -> Deposit {
        Deposit { amount: Plancks(amount), locked: Plancks(locked), leaving: Plancks(leaving) }
    }

    #[test]
    fn every_movement_changes_its_own_parts_and_no_other() {
        let before = deposit(100, 40, 30);
        for (movement, after) in [
            (Movement::Added, deposit(110, 40, 30)),
            (Movement::Locked, deposit(100, 50, 30)),
            (Movement::Released, deposit(100, 30, 30)),
            (Movement::Slashed, deposit(90, 30, 30)),
            (Movement::Asked, deposit(100, 40, 10)),
            (Movement::Taken, deposit(90, 40, 20)),
        ] {
            assert_eq!(before.moved(movement, Plancks(10)), Some(after), "{movement:?}");
        }
    }

    #[test]
    fn a_deposit_never_holds_less_than_nothing_or_less_than_is_held_and_leaving() {
        let before = deposit(100, 40, 30);
        for (movement, too_much) in [
            (Movement::Added, u128::MAX),
            (Movement::Locked, 31),
            (Movement::Released, 41),
            (Movement::Slashed, 41),
            (Movement::Asked, 61),
            (Movement::Taken, 31),
        ] {
            assert_eq!(before.moved(movement, Plancks(too_much)), None, "{movement:?}");
            if movement != Movement::Added {
                assert!(before.moved(movement, Plancks(too_much - 1)).is_some(), "{movement:?}");
            }
        }
    }
}
