//! GET of `/buckets` and `/streams/:bucket`: names, sorted, each once.
//!
//! `{"status":"ok"|"partial","data":[…]}`; partial when a shard did not answer. With `details=true` an item
//! is an object that describes the stream.

use super::access::Asker;
use super::core::Core;
use super::event_json::{put_decimal, put_json_string};
use super::flight::{Answer, Flight};
use super::negotiate::{self, JSON};
use super::parameters::Parameters;
use super::reply::Reply;
use super::route;
use crate::broker::identity::Action;
use auth::policy::Permission;
use bytes::{BufMut, BytesMut};
use engine::{ListPage, StreamDescription};
use std::rc::Rc;
use types::{BucketName, Failure, Limits};

/// What a listing asks for.
pub(super) struct ListPlan {
    /// The bucket whose streams are listed; `None` lists buckets.
    bucket: Option<BucketName>,
    page: ListPage,
    has_details: bool,
}

impl ListPlan {
    /// A listing of buckets.
    ///
    /// # Errors
    /// In the order of `docs/api.md`: malformed target, permission, `Accept`.
    pub(super) fn of_buckets(asker: &Asker<'_>) -> Result<ListPlan, Failure> {
        let Asker { core, head, .. } = *asker;
        let (page, _) = page(&Parameters::of(head)?, core.limits())?;
        asker.admit_everywhere(Action::List, Permission::List)?;
        negotiate::choose(head, &[JSON])?;
        Ok(ListPlan { bucket: None, page, has_details: false })
    }

    /// A listing of a bucket's streams.
    ///
    /// # Errors
    /// In the order of `docs/api.md`: malformed target, permission, `Accept`.
    pub(super) fn of_streams(asker: &Asker<'_>) -> Result<ListPlan, Failure> {
        let Asker { core, head, .. } = *asker;
        let bucket = route::bucket_name(head)?;
        let (page, has_details) = page(&Parameters::of(head)?, core.limits())?;
        asker.admit_in(Action::List, Permission::List, &bucket)?;
        negotiate::choose(head, &[JSON])?;
        Ok(ListPlan { bucket: Some(bucket), page, has_details })
    }

    /// Puts it under way.
    pub(super) fn start(self, core: &Rc<Core>) -> Flight {
        let broker = core.broker().clone();
        Flight::task(async move {
            let body = match self.bucket {
                None => {
                    let listing = broker.list_buckets(self.page).await;
                    body(listing.is_complete, &listing.items, |out, name| put_json_string(out, name.as_str()))
                }
                Some(bucket) => {
                    let listing = broker.list_streams(&bucket, self.page).await;
                    let put = if self.has_details { put_details } else { put_name };
                    body(listing.is_complete, &listing.items, put)
                }
            };
            Answer::Reply(Reply::json(200, body.freeze()))
        })
    }
}

fn page(parameters: &Parameters<'_>, limits: &Limits) -> Result<(ListPage, bool), Failure> {
    let text = |name| parameters.get(name).unwrap_or_default().to_owned();
    let limit = parameters.count("limit")?.unwrap_or(u64::MAX);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(limits.list_names_max);
    let page = ListPage { prefix: text("prefix"), after: text("after"), limit };
    Ok((page, parameters.flag("details")?))
}

fn body<T>(is_complete: bool, items: &[T], put: impl Fn(&mut BytesMut, &T)) -> BytesMut {
    let mut out = BytesMut::with_capacity(64 + items.len() * 16);
    out.put_slice(b"{\"status\":\"");
    out.put_slice(if is_complete { b"ok" } else { b"partial" });
    out.put_slice(b"\",\"data\":[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        put(&mut out, item);
    }
    out.put_slice(b"]}");
    out
}

fn put_name(out: &mut BytesMut, stream: &StreamDescription) {
    put_json_string(out, stream.key.stream.as_str());
}

fn put_details(out: &mut BytesMut, stream: &StreamDescription) {
    out.put_slice(b"{\"name\":");
    put_name(out, stream);
    let numbers = [
        ("first", stream.first.0),
        ("last", stream.last.0),
        ("events", stream.last.next().since(stream.first)),
        ("bytes", stream.bytes),
        ("t", stream.last_time.0),
    ];
    for (name, number) in numbers {
        out.put_u8(b',');
        put_json_string(out, name);
        out.put_u8(b':');
        put_decimal(out, number);
    }
    out.put_u8(b'}');
}

#[cfg(test)]
mod tests {
    use super::super::testing::head;
    use super::*;
    use types::{Epoch, SeqNum, StreamKey, Timestamp};

    #[test]
    fn a_list_is_a_status_and_its_names() {
        let names = |items: &[&str], is_complete| {
            let body = body(is_complete, items, |out, name| put_json_string(out, name));
            String::from_utf8(body.to_vec()).expect("text")
        };
        assert_eq!(names(&[], true), r#"{"status":"ok","data":[]}"#);
        assert_eq!(names(&["a", "b\""], false), r#"{"status":"partial","data":["a","b\""]}"#);
    }

    #[test]
    fn details_describe_a_stream() {
        let stream = StreamDescription {
            key: StreamKey::parse("b", "s").expect("a valid name"),
            epoch: Epoch(1),
            first: SeqNum(3),
            last: SeqNum(7),
            bytes: 100,
            last_time: Timestamp(9),
        };
        let mut out = BytesMut::new();
        put_details(&mut out, &stream);
        assert_eq!(&out[..], br#"{"name":"s","first":3,"last":7,"events":5,"bytes":100,"t":9}"#);
    }

    #[test]
    fn a_page_is_prefix_cursor_and_a_bounded_limit() {
        let of = |query: &str| {
            let head = head("GET", &format!("/buckets?{query}"), &[]);
            page(&Parameters::of(&head)?, &Limits::default()).map(|(page, _)| page)
        };
        let all = of("").expect("valid");
        assert_eq!((&*all.prefix, &*all.after, all.limit), ("", "", Limits::default().list_names_max));
        let some = of("prefix=a%2F&after=a%2Fb&limit=0").expect("valid");
        assert_eq!((&*some.prefix, &*some.after, some.limit), ("a/", "a/b", 0));
        for bad in ["limit=x", "limit=-1", "details=yes"] {
            assert!(matches!(of(bad), Err(Failure::InvalidField { .. })), "{bad}");
        }
    }
}
