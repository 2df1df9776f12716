//! The same cases on every log.

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::bed::Bed;
use super::{advancing, appending};

/// A case, by its name.
pub(super) type Case = (&'static str, fn(&Bed) -> BoxFuture<'_, ()>);

macro_rules! cases {
    ($($module:ident: $($case:ident)*;)*) => {
        /// Every case there is.
        pub(super) const CASES: &[Case] = &[
            $($((stringify!($case), |bed| $module::$case(bed).boxed()),)*)*
        ];

        mod in_memory {
            use super::*;

            $($(
                #[tokio::test]
                async fn $case() {
                    $module::$case(&Bed::in_memory()).await;
                }
            )*)*
        }

        mod on_jetstream {
            use super::*;

            $($(
                #[tokio::test]
                async fn $case() {
                    $module::$case(&Bed::on_jetstream().await).await;
                }
            )*)*
        }
    };
}

cases! {
    appending:
        the_first_append_is_stored_as_it_was_written
        events_follow_one_another_in_order
        an_append_on_anything_but_the_last_event_is_a_conflict
        an_append_to_a_saga_that_is_not_there_is_a_conflict
        the_same_bytes_are_stored_once
        other_sagas_are_in_nobodys_way
        every_shard_is_read_where_it_was_written
        of_many_rivals_one_wins
        what_a_later_version_wrote_is_kept
        the_largest_record_can_be_stored
        whoever_reads_while_others_write_sees_no_gap;
    advancing:
        an_acknowledged_append_is_the_new_tail
        after_a_conflict_the_winner_is_told
        a_second_start_finds_the_first
        a_lost_request_is_sent_again_as_it_was
        after_a_lost_answer_a_writer_knows_its_own_event
        a_start_whose_answer_is_lost_is_a_start
        it_knows_its_own_event_though_others_went_on
        silence_about_what_was_stored_is_found_out
        lasting_silence_is_an_error_and_stores_nothing
        what_is_in_flight_is_waited_for
        in_flight_may_be_ones_own
        in_flight_for_ever_is_an_error_that_says_so
        a_refused_append_is_not_sent_again
        what_does_not_follow_is_never_sent;
}
