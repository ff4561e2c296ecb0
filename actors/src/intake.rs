//! Decodes bodies of messages and checks them against the subject they were found on.

use jetreel_domain::delivery::intake::{Body, Peek};
use jetreel_domain::order::document;
use jetreel_domain::words::failure::Failure;

/// A body that the stage does not process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// A newer program wrote the body in a form that only a newer program decodes.
    Newer(Failure),
    /// The body has no known form.
    Unreadable(Failure),
    /// The body contradicts its subject. A newer program could not process it either.
    Contradicting(Failure),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Newer(failure)
            | Refused::Unreadable(failure)
            | Refused::Contradicting(failure) => failure,
        }
    }
}

/// Decodes a body that was found on `subject`.
///
/// # Errors
/// The body has another form, or contradicts its subject.
pub fn read<B: Body>(subject: &str, bytes: &[u8]) -> Result<B, Refused> {
    let body: B = rmp_serde::from_slice(bytes).map_err(|error| unread::<B>(bytes, &error))?;
    match body.agrees(subject) {
        Ok(()) => Ok(body),
        Err(contradiction) => Err(Refused::Contradicting(B::refused(&contradiction))),
    }
}

fn unread<B: Body>(bytes: &[u8], error: &rmp_serde::decode::Error) -> Refused {
    match rmp_serde::from_slice::<Peek>(bytes) {
        Ok(Peek { v }) if v > B::VERSION => {
            Refused::Newer(document::newer().with_detail(format_args!("version {v}: {error}")))
        }
        Ok(_) | Err(_) => {
            let message = "The message cannot be decoded.";
            Refused::Unreadable(Failure::permanent("bad-message", message).with_detail(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use jetreel_domain::delivery::message::Evaluate;
    use jetreel_domain::delivery::subject;
    use jetreel_domain::id::{OrderId, VideoId};
    use serde::Serialize;

    use super::*;

    #[derive(Serialize)]
    struct OfTomorrow<'a> {
        v: u32,
        order: &'a str,
    }

    fn order(bits: u128) -> OrderId {
        OrderId::new(VideoId::from_bits(bits), 1)
    }

    fn encoded(body: &impl Serialize) -> Vec<u8> {
        rmp_serde::to_vec_named(body).unwrap()
    }

    #[test]
    fn a_body_is_read_or_refused_for_what_it_is() {
        let subject = subject::publish(&order(1));
        let evaluate = |v, bits| encoded(&Evaluate { v, order: order(bits) });
        let read = |bytes: &[u8]| read::<Evaluate>(&subject, bytes);
        assert!(read(&evaluate(1, 1)).is_ok());
        assert!(read(&evaluate(99, 1)).is_ok(), "what can be read is");
        let contradicting = |v| match read(&evaluate(v, 2)) {
            Err(Refused::Contradicting(failure)) => failure.code,
            other => panic!("{other:?}"),
        };
        for v in [1, 99] {
            assert_eq!(contradicting(v), "message-contradicts");
        }
        let tomorrow = |v| encoded(&OfTomorrow { v, order: "1-of-tomorrow" });
        assert!(matches!(read(&tomorrow(2)), Err(Refused::Newer(_))));
        assert!(matches!(read(&tomorrow(1)), Err(Refused::Unreadable(_))));
        assert!(matches!(read(b"\xff"), Err(Refused::Unreadable(_))));
    }
}
