//! What a message is, and how the list of them is made.

use alloc::vec::Vec;
use codec::{Decode, Encode};

/// First four bytes of calldata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(pub [u8; 4]);

/// One message: its selector and what it takes and gives.
pub trait Call: Encode + Decode {
    /// The message's selector.
    const SELECTOR: Selector;
    /// The message's name in the contract.
    const NAME: &'static str;
    /// True where the message takes money.
    const PAYABLE: bool;
    /// What comes back when it is not refused.
    type Answer: Encode + Decode;

    /// Selector and argument: the calldata.
    fn calldata(&self) -> Vec<u8> {
        let mut bytes = Self::SELECTOR.0.to_vec();
        self.encode_to(&mut bytes);
        bytes
    }
}

macro_rules! calls {
    ($($(#[$doc:meta])* $selector:literal $message:ident $(($pay:ident))? => $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? } -> $answer:ty;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
            pub struct $name { $($(#[$field_doc])* pub $field: $type),* }

            impl Call for $name {
                const SELECTOR: Selector = Selector([0, 0, 0, $selector]);
                const NAME: &'static str = stringify!($message);
                const PAYABLE: bool = calls!(@payable $($pay)?);
                type Answer = $answer;
            }
        )*

        /// Every message: name, selector, whether it takes money.
        pub const MESSAGES: &[(&str, Selector, bool)] = &[$((stringify!($message), Selector([0, 0, 0, $selector]), calls!(@payable $($pay)?))),*];
    };
    (@payable payable) => { true };
    (@payable) => { false };
}
