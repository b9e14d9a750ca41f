package tarn.bench;

import java.io.File;
import java.util.Collection;
import java.util.List;
import org.apache.flink.api.common.state.State;
import org.apache.flink.api.common.state.StateDescriptor;
import org.apache.flink.api.common.typeutils.base.LongSerializer;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.contrib.streaming.state.EmbeddedRocksDBStateBackend;
import org.apache.flink.contrib.streaming.state.RocksDBOptions;
import org.apache.flink.core.fs.CloseableRegistry;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.apache.flink.runtime.io.disk.iomanager.IOManagerAsync;
import org.apache.flink.runtime.operators.testutils.MockEnvironment;
import org.apache.flink.runtime.state.CheckpointableKeyedStateBackend;
import org.apache.flink.runtime.state.KeyGroupRange;
import org.apache.flink.runtime.state.KeyedStateBackendParametersImpl;
import org.apache.flink.runtime.state.KeyedStateHandle;
import org.apache.flink.runtime.state.StateBackend;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.runtime.state.hashmap.HashMapStateBackend;
import org.apache.flink.runtime.state.ttl.TtlTimeProvider;
import org.apache.flink.runtime.util.TestingTaskManagerRuntimeInfo;

/** A task's slot with one keyed backend whose keys are longs, set up as Flink sets it up. */
final class Slot {
    private static final int KEY_GROUPS = 128;

    final MockEnvironment environment;
    final File directory;
    private final StateBackend factory;
    private CloseableRegistry closeables;
    CheckpointableKeyedStateBackend<Long> backend;

    /** kind is "heap" or "rocksdb"; managedBytes is what RocksDB's cache and memtables share. */
    Slot(String kind, long managedBytes, File directory) throws Exception {
        this.directory = directory;
        File local = made("local");
        File temporary = made("temporary");
        Configuration configuration = new Configuration();
        ClassLoader loader = Slot.class.getClassLoader();
        if (kind.equals("rocksdb")) {
            configuration.set(RocksDBOptions.LOCAL_DIRECTORIES, local.getPath());
            configuration.set(CheckpointingOptions.INCREMENTAL_CHECKPOINTS, true);
            factory = new EmbeddedRocksDBStateBackend().configure(configuration, loader);
        } else if (kind.equals("heap")) {
            factory = new HashMapStateBackend().configure(configuration, loader);
        } else {
            throw new IllegalArgumentException("no such backend: " + kind);
        }
        TestingTaskManagerRuntimeInfo runtime =
                new TestingTaskManagerRuntimeInfo(
                        configuration, new String[] {temporary.getPath()}, "localhost", temporary);
        environment =
                MockEnvironment.builder()
                        .setTaskName("versus")
                        .setMaxParallelism(KEY_GROUPS)
                        .setManagedMemorySize(managedBytes)
                        .setIOManager(new IOManagerAsync(temporary.getPath()))
                        .setTaskManagerRuntimeInfo(runtime)
                        .build();
        open(List.of());
    }

    private File made(String name) {
        File made = new File(directory, name);
        if (!made.isDirectory() && !made.mkdirs()) {
            throw new IllegalStateException("cannot create " + made);
        }
        return made.getAbsoluteFile();
    }

    void open(Collection<KeyedStateHandle> restored) throws Exception {
        closeables = new CloseableRegistry();
        backend =
                factory.createKeyedStateBackend(
                        new KeyedStateBackendParametersImpl<>(
                                environment,
                                environment.getJobID(),
                                "versus",
                                LongSerializer.INSTANCE,
                                KEY_GROUPS,
                                KeyGroupRange.of(0, KEY_GROUPS - 1),
                                environment.getTaskKvStateRegistry(),
                                TtlTimeProvider.DEFAULT,
                                new UnregisteredMetricsGroup(),
                                restored,
                                closeables));
    }

    <S extends State> S state(StateDescriptor<S, ?> descriptor) throws Exception {
        return backend.getPartitionedState(
                VoidNamespace.INSTANCE, VoidNamespaceSerializer.INSTANCE, descriptor);
    }

    void close() throws Exception {
        closeables.close();
        backend.dispose();
    }
}
