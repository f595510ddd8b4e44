//! Each fault planted into a sound history, and the checker must name it.

use super::super::notes::Seen;
use super::*;
use proptest::prelude::*;

/// Ten requests of one writer to one stream, the fifth a batch of three, all acknowledged.
fn sound() -> (Notes, Vec<Held>) {
    let (mut notes, mut held) = (Notes::default(), Vec::new());
    for index in 0..10 {
        let events = if index == 4 { 3 } else { 1 };
        let first = held.len() as u64 + 1;
        for place in 0..events {
            let content = EventId { writer: 7, request: index, place }.content();
            let number = held.len() as u64 + 1;
            notes.seen.push(Seen { stream: 0, number, digest: digest(&content) });
            held.push(Held { number, time_ms: 1000 + index, content });
        }
        notes.requests.push(Request {
            writer: 7,
            index,
            stream: 0,
            events,
            after: (index == 6).then_some(first - 1),
            begun_ns: index * 10 + 1,
            ended_ns: index * 10 + 9,
            outcome: Outcome::Stored { first },
            was_replayed: false,
        });
    }
    notes.seen.truncate(3);
    (notes, held)
}

fn breaches(notes: &Notes, held: &[Held]) -> Vec<BreachKind> {
    let mut verdict = Verdict::default();
    check_stream(0, notes, held, &mut verdict);
    verdict.breaches.into_iter().map(|breach| breach.kind).collect()
}

/// Plants a fault in what is held, numbers made right again, and gives what the checker says.
fn planted(plant: impl FnOnce(&mut Vec<Held>)) -> Vec<BreachKind> {
    let (notes, mut held) = sound();
    plant(&mut held);
    (1..).zip(&mut held).for_each(|(number, event)| event.number = number);
    breaches(&notes, &held)
}

fn renamed(notes: Notes, outcome: Outcome, index: usize) -> Notes {
    let mut notes = notes;
    notes.requests[index].outcome = outcome;
    if outcome == Outcome::Unknown {
        notes.requests[index].ended_ns = u64::MAX;
    }
    notes
}

#[test]
fn a_sound_history_passes_and_is_counted() {
    let (notes, held) = sound();
    let mut verdict = Verdict::default();
    check_stream(0, &notes, &held, &mut verdict);
    assert_eq!(verdict.breaches, []);
    let Counts { requests, acknowledged, events, observed, .. } = verdict.counts;
    assert_eq!((requests, acknowledged, events, observed), (10, 10, 12, 3));
}

#[test]
fn a_lost_event_is_noticed_at_the_end_and_in_the_middle() {
    let last = planted(|held| drop(held.pop()));
    assert_eq!(last, [BreachKind::Lost { writer: 7, request: 9, number: 12 }]);
    let middle = planted(|held| drop(held.remove(1)));
    assert!(middle.contains(&BreachKind::Lost { writer: 7, request: 1, number: 2 }));
    let (notes, mut held) = sound();
    held.remove(1);
    assert!(breaches(&notes, &held).contains(&BreachKind::Hole { after: 1, next: 3 }));
}

#[test]
fn a_duplicated_event_is_noticed() {
    let found = planted(|held| held.push(held[11].clone()));
    assert_eq!(found, [BreachKind::Repeated { number: 13, first: 12 }]);
}

#[test]
fn two_swapped_events_are_noticed_even_if_nobody_was_told_their_numbers() {
    let swap = |held: &mut Vec<Held>| {
        let (left, right) = (held[0].content.clone(), held[1].content.clone());
        (held[0].content, held[1].content) = (right, left);
    };
    assert!(planted(swap).contains(&BreachKind::Moved { number: 2, told: 1 }));
    let (notes, mut held) = sound();
    swap(&mut held);
    let notes = Notes { seen: Vec::new(), ..notes };
    // As if only the order in time were known: the first was answered before the second was sent.
    let mut unknown = renamed(notes, Outcome::Unknown, 1);
    unknown.requests[0].outcome = Outcome::Stored { first: 2 };
    assert_eq!(breaches(&unknown, &held), [BreachKind::OutOfTime { number: 2, earlier: 1 }]);
}

#[test]
fn a_changed_event_is_noticed_byte_for_byte() {
    let found = planted(|held| {
        let at = held[3].content.len() - 3;
        held[3].content[at] ^= 1;
    });
    assert_eq!(found, [BreachKind::Changed { number: 4 }]);
    let found = planted(|held| held[3].content = b"null".to_vec());
    assert!(found.contains(&BreachKind::Foreign { number: 4 }));
    assert!(found.contains(&BreachKind::Lost { writer: 7, request: 3, number: 4 }));
}

#[test]
fn a_batch_in_part_or_in_pieces_is_noticed() {
    let part = planted(|held| drop(held.remove(6)));
    assert!(part.contains(&BreachKind::BatchTorn { writer: 7, request: 4 }), "{part:?}");
    let pieces = planted(|held| held.swap(6, 7));
    assert!(pieces.contains(&BreachKind::BatchTorn { writer: 7, request: 4 }), "{pieces:?}");
}

#[test]
fn a_refused_event_must_not_be_there_and_an_unknown_one_may() {
    let (notes, mut held) = sound();
    let refused = renamed(notes.clone(), Outcome::Refused, 9);
    assert_eq!(breaches(&refused, &held), [BreachKind::RefusedStored { number: 12 }]);
    let unknown = renamed(notes, Outcome::Unknown, 9);
    assert_eq!(breaches(&unknown, &held), []);
    held.pop();
    assert_eq!(breaches(&unknown, &held), []);
    assert_eq!(breaches(&refused, &held), []);
}

#[test]
fn a_condition_holds_for_unknown_outcomes_too() {
    let (notes, held) = sound();
    let mut notes = renamed(notes, Outcome::Unknown, 6);
    notes.requests[6].after = Some(3);
    assert_eq!(breaches(&notes, &held), [BreachKind::ConditionBroken { number: 9, after: 3 }]);
}

#[test]
fn what_was_seen_must_stay_and_time_must_not_go_back() {
    let (mut notes, mut held) = sound();
    notes.seen.push(Seen { stream: 0, number: 13, digest: 1 });
    held[5].time_ms = 1;
    let found = breaches(&notes, &held);
    assert_eq!(found, [BreachKind::TimeWentBack { number: 6 }, BreachKind::Unseen { number: 13 }]);
}

proptest! {
    #[test]
    fn any_one_event_lost_repeated_swapped_or_changed_is_noticed(
        at in 0..12usize, to in 0..12usize, fault in 0..4u8,
    ) {
        let found = planted(|held| match fault {
            0 => drop(held.remove(at)),
            1 => held.insert(to, held[at].clone()),
            2 if at != to => {
                let content = held[at].content.clone();
                held[at].content = std::mem::replace(&mut held[to].content, content);
            }
            _ => {
                let middle = held[at].content.len() / 2;
                held[at].content[middle] ^= 4;
            }
        });
        prop_assert!(!found.is_empty());
    }
}
