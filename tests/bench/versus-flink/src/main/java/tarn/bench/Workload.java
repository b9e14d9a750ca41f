package tarn.bench;

/** What tarn-bench calls a workload: events are made in batches, then applied one by one. */
interface Workload {
    int BATCH_EVENTS = 16384;

    void prepare(int count) throws Exception;

    void event(int index) throws Exception;

    /** The checksum of what was read and of what the state holds; the same as tarn-bench's. */
    long finish() throws Exception;

    /** The bijection that tarn-bench scatters numbers with: SplitMix64's finalizer. */
    static long mix(long number) {
        number = (number ^ (number >>> 30)) * 0xbf58476d1ce4e5b9L;
        number = (number ^ (number >>> 27)) * 0x94d049bb133111ebL;
        return number ^ (number >>> 31);
    }
}
