"""Which of Huey's tests are not run, each with the promise that it says the opposite of."""

from __future__ import annotations

SCHEDULED_AT_ONCE = (
    "a task with a time goes into the schedule in the one step of its submit, and claim moves it when it is due;"
    " Huey sends it through a worker first, and reads the schedule by taking tasks out (promise 1: never lost)"
)
SAME_ID = "a second submit of the same id is none (promise 2: never twice in); Huey runs it again"
ERRORS_ARE_DATA = (
    "an error reaches its handler as its type's name and text (RemoteError), never as a rebuilt object"
    " (promise 10: nothing executes by being read)"
)
RESULTS_STAY = "a result stays with its record, for every reader; Huey removes it when it is read"
SERVER_FIRES = (
    "the last member's settle puts a chord's callback in, on the server (promise 1: never lost), where no receiver"
    " of signals hears 'enqueued'"
)

SKIPS: dict[str, str] = {
    "TestQueue.test_scheduling": SCHEDULED_AT_ONCE,
    "TestQueue.test_schedule_s": SCHEDULED_AT_ONCE,
    "TestQueue.test_scheduling_expires": SCHEDULED_AT_ONCE,
    "TestQueue.test_read_schedule": SCHEDULED_AT_ONCE,
    "TestQueue.test_pending_scheduled_unregistered": SCHEDULED_AT_ONCE,
    "TestDecorators.test_task_id": SCHEDULED_AT_ONCE,
    "TestStorageWrappers.test_storage_wrappers": SCHEDULED_AT_ONCE,
    "TestPriority.test_schedule_priority": SCHEDULED_AT_ONCE,
    "TestSignals.test_signals_simple": SCHEDULED_AT_ONCE,
    "TestConsumerIntegration.test_consumer_schedule_task": SCHEDULED_AT_ONCE,
    "TestChordPrimitive.test_chord_scheduling": SCHEDULED_AT_ONCE,
    "TestLeaseStorage.test_schedule_methods": SCHEDULED_AT_ONCE,
    "TestQueue.test_revoke_task_instance": SAME_ID,
    "TestQueue.test_revoke_task_instance_persistent": SAME_ID,
    "TestQueue.test_retry_backoff": SAME_ID,
    "TestChordPrimitive.test_empty_chord": SAME_ID,
    "TestQueue.test_retrying_exceptions_not_surfaced": ERRORS_ARE_DATA,
    "TestChordPrimitive.test_chord_callback_err": ERRORS_ARE_DATA,
    "TestStoreIntermediateErrors.test_on_error_deferred": ERRORS_ARE_DATA,
    "TestTaskChaining.test_chain_errors": ERRORS_ARE_DATA,
    "TestTaskChaining.test_error_callback": ERRORS_ARE_DATA,
    "TestTaskChaining.test_error_callback_retries": ERRORS_ARE_DATA,
    "TestQueue.test_result_readiness_reads_result": RESULTS_STAY,
    "TestSignals.test_signals_chord": SERVER_FIRES,
    "TestSignals.test_signals_chord_error": SERVER_FIRES,
}
